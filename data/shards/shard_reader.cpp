#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "core/error.hpp"
#include "core/interruption.hpp"
#include "core/movement.hpp"
#include "data/shards/shard.hpp"

namespace granule {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1}
                                << 18;  // tokens read at once from shards that cannot be mapped
constexpr const char* kAdvice = "the shard is damaged or was written by something else; build it again";

// memcpy, because nothing aligns a dataset inside its file. Compilers turn it into plain (vector) loads.
template <class T>
T load(const std::byte* data, std::int64_t index) {
  T value;
  std::memcpy(&value, data + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

/// Calls body.operator()<T>() for the unsigned type of `size` bytes. A negative id is a very large one there.
template <class Body>
auto dispatch_unsigned(std::int64_t size, Body&& body) {
  switch (size) {
    case 1:
      return body.template operator()<std::uint8_t>();
    case 2:
      return body.template operator()<std::uint16_t>();
    case 4:
      return body.template operator()<std::uint32_t>();
    default:
      return body.template operator()<std::uint64_t>();
  }
}

template <class T>
std::optional<std::int64_t> first_at_least(const std::byte* data, std::int64_t size, std::uint64_t limit) {
  if (limit > std::numeric_limits<T>::max()) return std::nullopt;
  for (std::int64_t block = 0; block < size; block += kBlock) {
    interruption_point();
    const std::int64_t end = std::min(size, block + kBlock);
    note_movement();
    T largest = 0;
    for (std::int64_t i = block; i < end; ++i) largest = std::max(largest, load<T>(data, i));
    if (largest < limit) continue;
    for (std::int64_t i = block; i < end; ++i) {
      if (load<T>(data, i) >= limit) return i;
    }
  }
  return std::nullopt;
}

Hdf5Dataset require_data(const Hdf5Reader& file) {
  const std::string where = file.path().string();
  auto data = file.dataset("data");
  if (!data) user_error("no dataset /data", where, "a shard holds its token ids in a dataset named data");
  if (data->shape.size() != 1) {
    user_error(fmt::format("/data has rank {}", data->shape.size()), where,
               "token ids must be one row: rank 1; other layouts are not read");
  }
  const bool known_size = data->element_size == 1 || data->element_size == 2 || data->element_size == 4 ||
                          data->element_size == 8;
  if (!data->is_integer || !known_size) user_error("/data does not hold integers", where, "write token ids");
  return std::move(*data);
}

std::vector<std::int64_t> read_all(Hdf5Reader& file, const std::string& name) {
  const auto dataset = file.dataset(name);
  if (!dataset) return {};
  if (!dataset->is_integer || dataset->shape.size() != 1) {
    user_error(fmt::format("/{} is not one row of integers", name), file.path().string(), kAdvice);
  }
  file.require_stored(name);
  std::vector<std::int64_t> values(static_cast<std::size_t>(dataset->numel()));
  file.read(name, 0, values);
  return values;
}

}  // namespace

ShardReader::ShardReader(const std::filesystem::path& path)
    : path_(path), file_(std::in_place, path), layout_(require_data(*file_)) {
  place_ = file_->require_stored("data");
  read_attributes();
  read_documents();
  map_tokens();
}

void ShardReader::read_attributes() {
  attributes_ = {file_->text_attribute("format"),     file_->text_attribute("tokenizer_sha256"),
                 file_->text_attribute("created_by"), file_->integer_attribute("n_tokens"),
                 file_->integer_attribute("n_docs"),  file_->integer_attribute("vocab_size"),
                 file_->integer_attribute("bos_id"),  file_->integer_attribute("eos_id")};
  const std::string where = path().string();
  if (attributes_.format && attributes_.format->starts_with("granule-shard/") &&
      *attributes_.format != kShardFormat) {
    user_error(fmt::format("the shard's format is {}", *attributes_.format), where,
               fmt::format("this version reads {}", kShardFormat));
  }
  if (attributes_.n_tokens && *attributes_.n_tokens != tokens()) {
    user_error(fmt::format("attribute n_tokens is {}, /data holds {}", *attributes_.n_tokens, tokens()),
               where, kAdvice);
  }
  if (attributes_.vocab_size && *attributes_.vocab_size <= 0) {
    user_error(fmt::format("attribute vocab_size is {}", *attributes_.vocab_size), where, kAdvice);
  }
}

void ShardReader::read_documents() {
  offsets_ = read_all(*file_, "doc_offsets");
  bytes_ = read_all(*file_, "doc_bytes");
  const std::string where = path().string();
  if (!offsets_.empty() &&
      (offsets_.front() != 0 || offsets_.back() != tokens() || !std::ranges::is_sorted(offsets_))) {
    user_error(fmt::format("/doc_offsets does not rise from 0 to {}", tokens()), where, kAdvice);
  }
  if (!bytes_.empty() && bytes_.size() + 1 != offsets_.size()) {
    user_error(fmt::format("/doc_bytes has {} entries, /doc_offsets {}", bytes_.size(), offsets_.size()),
               where, kAdvice);
  }
  if (std::ranges::any_of(bytes_, [](std::int64_t n) { return n < 0; })) {
    user_error("/doc_bytes holds a negative length", where, kAdvice);
  }
  const auto documents = static_cast<std::int64_t>(offsets_.size()) - 1;
  if (attributes_.n_docs && !offsets_.empty() && *attributes_.n_docs != documents) {
    user_error(fmt::format("attribute n_docs is {}, /doc_offsets has {}", *attributes_.n_docs, documents),
               where, kAdvice);
  }
}

void ShardReader::map_tokens() {
  if (!layout_.file_offset || tokens() == 0) return;
  MappedFile mapping(path());
  const auto bytes = static_cast<std::size_t>(tokens() * layout_.element_size);
  const auto offset = static_cast<std::size_t>(*layout_.file_offset);
  if (offset > mapping.bytes().size() || bytes > mapping.bytes().size() - offset) {
    user_error("the file is shorter than /data says", path().string(), kAdvice);
  }
  data_ = mapping.bytes().subspan(offset, bytes);
  mapping_.emplace(std::move(mapping));
  file_.reset();
}

void ShardReader::read(std::int64_t begin, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  GRANULE_CHECK(begin >= 0 && begin + count <= tokens(), "{}: tokens [{}, {}) of {}", path().string(), begin,
                begin + count, tokens());
  if (mapping_) {
    dispatch_unsigned(layout_.element_size, [&]<class T>() {
      for (std::int64_t i = 0; i < count; ++i) {
        out[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(load<T>(data_.data(), begin + i));
      }
    });
    return;
  }
  std::vector<std::int64_t> wide(out.size());
  file_->read("data", begin, wide);
  std::ranges::transform(wide, out.begin(), [](std::int64_t id) { return static_cast<std::int32_t>(id); });
}

std::optional<std::int64_t> ShardReader::first_bad_id(std::int64_t vocab_size) const {
  const auto limit = static_cast<std::uint64_t>(vocab_size);
  if (mapping_) {
    return dispatch_unsigned(layout_.element_size,
                             [&]<class T>() { return first_at_least<T>(data_.data(), tokens(), limit); });
  }
  std::vector<std::int64_t> block;
  for (std::int64_t begin = 0; begin < tokens(); begin += kBlock) {
    interruption_point();
    block.resize(static_cast<std::size_t>(std::min(kBlock, tokens() - begin)));
    file_->read("data", begin, block);
    note_movement();
    const auto bad = std::ranges::find_if(block, [&](std::int64_t id) { return id < 0 || id >= vocab_size; });
    if (bad != block.end()) return begin + (bad - block.begin());
  }
  return std::nullopt;
}

void ShardReader::check_ids(std::int64_t vocab_size) const {
  GRANULE_CHECK(vocab_size > 0 && vocab_size <= std::numeric_limits<std::int32_t>::max(),
                "check_ids: a vocabulary of {} tokens", vocab_size);
  const auto bad = first_bad_id(vocab_size);
  if (!bad) return;
  std::vector<std::int64_t> id(1);
  Hdf5Reader file(path());
  file.require_stored("data");
  file.read("data", *bad, id);
  user_error(fmt::format("token {} has id {}, outside the vocabulary of {}", *bad, id.front(), vocab_size),
             path().string(), "use the vocabulary the shard was built with, or build the shard again");
}

}  // namespace granule
