#include "data/hdf5/virtual_row.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>

#include "core/error.hpp"

namespace granule::hdf5 {
namespace {

namespace fs = std::filesystem;

constexpr int kDeepest = 8;
constexpr hssize_t kMostBlocks = 1 << 20;
constexpr const char* kAdvice = "write the tokens into one plain dataset";

struct Block {
  std::int64_t begin, size;
};

[[noreturn]] void refuse(const Dataset& dataset, const std::string& what) {
  user_error(fmt::format("{} is a virtual dataset, and {}", dataset.label(), what), dataset.where(), kAdvice);
}

/// The selected blocks of a mapping, in order. Absent unless there are finitely many, in one row.
std::optional<std::vector<Block>> blocks_of(hid_t space) {
  if (H5Sget_select_type(space) != H5S_SEL_HYPERSLABS || H5Sget_simple_extent_ndims(space) != 1)
    return std::nullopt;
  const hssize_t count = H5Sget_select_hyper_nblocks(space);
  if (count < 0 || count > kMostBlocks) return std::nullopt;
  std::vector<hsize_t> corners(2 * static_cast<std::size_t>(count));
  if (H5Sget_select_hyper_blocklist(space, 0, static_cast<hsize_t>(count), corners.data()) < 0)
    return std::nullopt;
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < corners.size(); i += 2) {
    if (corners[i + 1] == H5S_UNLIMITED) return std::nullopt;
    blocks.push_back(
        {static_cast<std::int64_t>(corners[i]), static_cast<std::int64_t>(corners[i + 1] - corners[i] + 1)});
  }
  return blocks;
}

/// Names of sources are patterns. "%b" numbers the files of an endless row, and "%%" is a percent sign.
std::string unescaped(const Dataset& dataset, std::string name) {
  for (std::size_t at = 0; (at = name.find('%', at)) != std::string::npos; ++at) {
    if (name.compare(at, 2, "%b") == 0) refuse(dataset, "its sources are numbered without end");
    if (name.compare(at, 2, "%%") == 0) name.erase(at, 1);
  }
  return name;
}

/// Tries the places in HDF5's order: the environment's, the folder of the file, the working directory.
fs::path find_source(const Dataset& dataset, const fs::path& name) {
  std::vector<fs::path> places;
  if (const char* const prefix = std::getenv("HDF5_VDS_PREFIX"); prefix != nullptr && *prefix != '\0')
    places.emplace_back(prefix);
  places.push_back(dataset.owner().parent_path());
  places.emplace_back();
  for (const fs::path& place : places) {
    std::error_code error;
    if (fs::exists(place / name, error)) return place / name;
  }
  user_error(fmt::format("{} is incomplete: its source file {} is missing", dataset.label(), name.string()),
             dataset.where(), "put the source file back in its place");
}

/// Opens each file once, even if several mappings lead to it.
class Sources {
 public:
  Sources(const Dataset& dataset, int depth) : dataset_(dataset), depth_(depth) {}

  /// The reader of the file. The file must have `name` stored, at least `size` long, or exactly so if it is
  /// `whole`.
  std::shared_ptr<const Hdf5Reader> require(const std::string& file, const std::string& name,
                                            std::int64_t size, bool whole) {
    const fs::path path = file == "." ? dataset_.owner() : find_source(dataset_, unescaped(dataset_, file));
    std::shared_ptr<Hdf5Reader>& reader = readers_[path];
    if (!reader) reader = std::make_shared<Hdf5Reader>(path, depth_ + 1);
    const auto found = reader->dataset(name);
    const std::string where = fmt::format("dataset {} of its source file {}", name, path.string());
    if (!found) incomplete(where + " is missing");
    if (!found->is_integer || found->shape.size() != 1) incomplete(where + " is not one row of integers");
    if (found->numel() < size || (whole && found->numel() != size)) {
      incomplete(fmt::format("{} has {} elements where {} are wanted", where, found->numel(), size));
    }
    reader->require_stored(name);
    return reader;
  }

 private:
  [[noreturn]] void incomplete(const std::string& what) const {
    user_error(fmt::format("{} is incomplete: {}", dataset_.label(), what), dataset_.where(),
               "put the whole source file back in its place");
  }

  const Dataset& dataset_;
  int depth_;
  std::map<fs::path, std::shared_ptr<Hdf5Reader>> readers_;
};

/// A name that HDF5 copies into a buffer. Without a buffer, `get` returns the length.
template <class Get>
std::string text_of(const Get& get) {
  std::string text(static_cast<std::size_t>(std::max<ssize_t>(get(nullptr, 0), 0)), '\0');
  get(text.data(), text.size() + 1);
  return text;
}

/// One mapping of a virtual dataset.
struct Mapping {
  std::string file{}, dataset{};
  std::vector<Block> row{}, source{};
  bool whole = false;  // the source is selected as a whole
};

std::int64_t sum_of(const std::vector<Block>& blocks) {
  std::int64_t sum = 0;
  for (const Block& block : blocks) sum += block.size;
  return sum;
}

Mapping mapping_of(const Dataset& dataset, std::size_t index) {
  const hid_t creation = dataset.creation();
  const Handle row(H5Pget_virtual_vspace(creation, index), H5Sclose);
  const Handle source(H5Pget_virtual_srcspace(creation, index), H5Sclose);
  Mapping mapping{.file = text_of([&](char* out, std::size_t n) {
                    return H5Pget_virtual_filename(creation, index, out, n);
                  }),
                  .dataset = text_of([&](char* out, std::size_t n) {
                    return H5Pget_virtual_dsetname(creation, index, out, n);
                  })};
  // HDF5 forgets the extent of a source that is selected as a whole.
  std::optional<std::vector<Block>> to = blocks_of(row.get()), from = blocks_of(source.get());
  if (H5Sget_select_type(row.get()) == H5S_SEL_ALL) to = {{0, dataset.numel()}};
  mapping.whole = to && H5Sget_select_type(source.get()) == H5S_SEL_ALL;
  if (mapping.whole) from = {{0, sum_of(*to)}};
  if (!to || !from || sum_of(*to) != sum_of(*from))
    refuse(dataset, "its sources are not pieces of rows with an end");
  mapping.row = *to, mapping.source = *from;
  return mapping;
}

}  // namespace

VirtualRow::VirtualRow(const Dataset& dataset, int depth) {
  if (depth >= kDeepest) refuse(dataset, fmt::format("so are its sources, {} deep", kDeepest));
  std::size_t count = 0;
  H5Pget_virtual_count(dataset.creation(), &count);
  Sources sources(dataset, depth);
  for (std::size_t i = 0; i < count; ++i) {
    Mapping mapping = mapping_of(dataset, i);
    std::int64_t end = 0;
    for (const Block& block : mapping.source) end = std::max(end, block.begin + block.size);
    const std::string name = unescaped(dataset, mapping.dataset);
    const auto source = sources.require(mapping.file, name, end, mapping.whole);
    // The elements of both selections correspond in order, however each is divided into blocks.
    auto from = mapping.source.begin();
    for (Block to : mapping.row) {
      while (to.size > 0 && from != mapping.source.end()) {
        const std::int64_t size = std::min(to.size, from->size);
        parts_.push_back({to.begin, size, from->begin, source, name});
        to = {to.begin + size, to.size - size};
        *from = {from->begin + size, from->size - size};
        if (from->size == 0) ++from;
      }
    }
  }
  std::ranges::sort(parts_, {}, &Part::begin);
  require_whole(dataset);
}

void VirtualRow::require_whole(const Dataset& dataset) const {
  std::int64_t end = 0;
  for (const Part& part : parts_) {
    if (part.begin < end) refuse(dataset, fmt::format("elements from {} on are mapped twice", part.begin));
    if (part.begin > end) break;
    end += part.size;
  }
  if (end >= dataset.numel()) return;
  user_error(
      fmt::format("{} is incomplete: no source is mapped to its elements from {} on", dataset.label(), end),
      dataset.where(), kAdvice);
}

void VirtualRow::read(std::int64_t begin, std::span<std::int64_t> out) const {
  auto part = std::ranges::upper_bound(parts_, begin, {}, &Part::begin) - 1;
  while (!out.empty()) {
    const std::int64_t skipped = begin - part->begin;
    const auto count =
        static_cast<std::size_t>(std::min<std::int64_t>(std::ssize(out), part->size - skipped));
    part->source->read(part->dataset, part->source_begin + skipped, out.first(count));
    out = out.subspan(count);
    begin += static_cast<std::int64_t>(count);
    ++part;
  }
}

}  // namespace granule::hdf5
