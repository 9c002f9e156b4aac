#include "data/models/safetensors_writer.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/models/float_convert.hpp"
#include "data/models/safetensors.hpp"

namespace granule {
namespace {

constexpr std::int64_t kStaging = std::int64_t{4} << 20;  // a multiple of every element size
constexpr std::size_t kAlignment = 8;

using Group = std::vector<const TensorToSave*>;

std::string header_of(const std::vector<TensorSpec>& specs, const Metadata& metadata) {
  std::string header = fmt::format(R"({{"__metadata__":{})", nlohmann::json(metadata).dump());
  std::int64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    const std::int64_t end = offset + spec.bytes();
    header += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                          nlohmann::json(spec.name).dump(), safetensors_name(spec.dtype),
                          fmt::join(spec.shape, ","), offset, end);
    offset = end;
  }
  header += "}";
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return header;
}

void check_distinct(const std::vector<TensorSpec>& specs) {
  std::set<std::string_view> names{"__metadata__"};
  for (const TensorSpec& spec : specs) {
    GRANULE_CHECK(names.insert(spec.name).second, "safetensors: the tensor name '{}' is given twice",
                  spec.name);
  }
}

std::vector<Group> cut_by_size(std::span<const TensorToSave> tensors, std::int64_t max_bytes) {
  GRANULE_CHECK(max_bytes > 0, "safetensors: files of at most {} bytes", max_bytes);
  std::vector<Group> groups(1);
  std::int64_t filled = 0;
  for (const TensorToSave& tensor : tensors) {
    const std::int64_t bytes = tensor.spec.bytes();
    if (!groups.back().empty() && bytes > max_bytes - filled) {
      groups.emplace_back();
      filled = 0;
    }
    groups.back().push_back(&tensor);
    filled += bytes;
  }
  // Wide elements come first, so that every tensor is aligned to its element. Some readers need that.
  for (Group& group : groups) {
    std::stable_sort(group.begin(), group.end(), [](const TensorToSave* a, const TensorToSave* b) {
      return size_of(a->spec.dtype) > size_of(b->spec.dtype);
    });
  }
  return groups;
}

WrittenFile write_group(const std::filesystem::path& path, const Group& group, Disk& disk) {
  std::vector<TensorSpec> specs;
  for (const TensorToSave* tensor : group) specs.push_back(tensor->spec);
  SafetensorsWriter writer(path, std::move(specs), {}, disk);
  for (const TensorToSave* tensor : group) {
    for_each_piece(*tensor,
                   [&](std::span<const std::byte> piece) { writer.write(tensor->spec.name, piece); });
  }
  return writer.finish();
}

/// T must represent every value of the tensor exactly.
template <class T>
auto converting_reader(TensorToSave tensor, DType to) {
  return [tensor = std::move(tensor), to](std::int64_t offset, std::span<std::byte> out) {
    const DType from = tensor.spec.dtype;
    std::vector<T> values(out.size() / static_cast<std::size_t>(size_of(to)));
    std::vector<std::byte> bytes(values.size() * static_cast<std::size_t>(size_of(from)));
    tensor.read(offset / size_of(to) * size_of(from), bytes);
    floats_from_bytes(from, bytes, std::span(values));
    bytes_from_floats(std::span<const T>(values), to, out);
  };
}

}  // namespace

std::int64_t TensorSpec::bytes() const {
  std::int64_t total = size_of(dtype);
  for (const std::int64_t extent : shape) {
    GRANULE_CHECK(extent >= 0 && !__builtin_mul_overflow(total, extent, &total),
                  "safetensors: '{}' has shape [{}]", name, fmt::join(shape, ", "));
  }
  return total;
}

TensorToSave tensor_of_bytes(TensorSpec spec, std::span<const std::byte> bytes) {
  GRANULE_CHECK(static_cast<std::int64_t>(bytes.size()) == spec.bytes(),
                "safetensors: '{}' needs {} bytes, given {}", spec.name, spec.bytes(), bytes.size());
  return {std::move(spec), [bytes](std::int64_t offset, std::span<std::byte> out) {
            std::memcpy(out.data(), bytes.data() + offset, out.size());
          }};
}

TensorToSave converted(TensorToSave tensor, DType to) {
  const DType from = tensor.spec.dtype;
  if (from == to) return tensor;
  TensorSpec spec = tensor.spec;
  spec.dtype = to;
  GRANULE_CHECK(is_floating(from) && is_floating(to), "safetensors: '{}' of {} cannot be saved as {}",
                spec.name, name_of(from), name_of(to));
  if (from == DType::f64) return {std::move(spec), converting_reader<double>(std::move(tensor), to)};
  return {std::move(spec), converting_reader<float>(std::move(tensor), to)};
}

void for_each_piece(const TensorToSave& tensor, const std::function<void(std::span<const std::byte>)>& body) {
  const std::int64_t total = tensor.spec.bytes();
  std::vector<std::byte> staging(static_cast<std::size_t>(std::min(total, kStaging)));
  for (std::int64_t offset = 0; offset < total; offset += kStaging) {
    const auto piece = std::span(staging).first(static_cast<std::size_t>(std::min(kStaging, total - offset)));
    tensor.read(offset, piece);
    body(piece);
  }
}

std::vector<double> values_read(const TensorToSave& tensor) {
  std::vector<double> values;
  for_each_piece(tensor, [&](std::span<const std::byte> piece) {
    const std::size_t before = values.size();
    values.resize(before + piece.size() / static_cast<std::size_t>(size_of(tensor.spec.dtype)));
    floats_from_bytes(tensor.spec.dtype, piece, std::span(values).subspan(before));
  });
  return values;
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorSpec> specs,
                                     Metadata metadata, Disk& disk)
    : file_(path, disk), specs_(std::move(specs)) {
  check_distinct(specs_);
  metadata.try_emplace("format", "pt");
  const std::string header = header_of(specs_, metadata);
  const std::uint64_t length = header.size();
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(std::as_bytes(std::span(header)));
  if (!specs_.empty()) missing_ = specs_.front().bytes();
  skip_complete();
}

void SafetensorsWriter::skip_complete() {
  while (current_ < specs_.size() && missing_ == 0) {
    if (++current_ < specs_.size()) missing_ = specs_[current_].bytes();
  }
}

void SafetensorsWriter::write(const std::string& name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  GRANULE_CHECK(current_ < specs_.size() && specs_[current_].name == name,
                "safetensors: writing '{}', expected '{}'", name,
                current_ < specs_.size() ? specs_[current_].name : "the end");
  const auto size = static_cast<std::int64_t>(bytes.size());
  GRANULE_CHECK(size <= missing_, "safetensors: {} bytes for '{}', which misses {}", size, name, missing_);
  file_.write(bytes);
  missing_ -= size;
  skip_complete();
}

WrittenFile SafetensorsWriter::finish() {
  GRANULE_CHECK(current_ == specs_.size(), "safetensors: finished without all of '{}'",
                specs_[current_].name);
  return file_.commit();
}

WrittenTensors write_tensors(const std::filesystem::path& directory, const std::string& stem,
                             std::span<const TensorToSave> tensors, std::int64_t max_bytes, ShardNames names,
                             Disk& disk) {
  const std::vector<Group> groups = cut_by_size(tensors, max_bytes);
  WrittenTensors written;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool plain = names == ShardNames::plain_when_single && groups.size() == 1;
    const std::string file = plain ? fmt::format("{}.safetensors", stem)
                                   : fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, groups.size());
    written.files.push_back(write_group(directory / file, groups[i], disk));
    for (const TensorToSave* tensor : groups[i]) {
      GRANULE_CHECK(written.file_of.emplace(tensor->spec.name, file).second,
                    "safetensors: '{}' is given twice", tensor->spec.name);
      written.tensor_bytes += tensor->spec.bytes();
    }
  }
  return written;
}

void read_as_written(std::span<const TensorToSave> tensors, std::int64_t max_bytes) {
  for (const Group& group : cut_by_size(tensors, max_bytes)) {
    for (const TensorToSave* tensor : group) for_each_piece(*tensor, [](std::span<const std::byte>) {});
  }
}

}  // namespace granule
