#include "data/imports/megatron_index.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>

#include "core/error.hpp"
#include "data/imports/file_kind.hpp"
#include "data/imports/raw.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic("MMIDIDX\0\0", 9);
constexpr std::uint64_t kVersion = 1;

// By code, from 1 on. Codes 6 and 7 are float64 and float32, which cannot be ids.
constexpr std::array<std::optional<TokenType>, 8> kTypes{TokenType::u8,  TokenType::i8,  TokenType::i16,
                                                         TokenType::i32, TokenType::i64, std::nullopt,
                                                         std::nullopt,   TokenType::u16};

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  user_error(what, path.string(), "the index is damaged or of another kind; make it again");
}

// The header has the magic, the version (u64), the type (u8), the number of sequences (u64) and the number of
// document bounds (u64). After it come lengths (i32), byte offsets (i64), and document bounds in sequences
// (i64).
struct Header {
  static constexpr std::size_t kBytes = 9 + 8 + 1 + 8 + 8;
  TokenType type = TokenType::u16;
  std::size_t sequences = 0, bounds = 0;

  [[nodiscard]] std::size_t lengths_at() const { return kBytes; }
  [[nodiscard]] std::size_t offsets_at() const { return lengths_at() + 4 * sequences; }
  [[nodiscard]] std::size_t bounds_at() const { return offsets_at() + 8 * sequences; }
  [[nodiscard]] std::size_t end() const { return bounds_at() + 8 * bounds; }
};

/// How many bytes an id has, judged by the offsets of the first two sequences; 0 if they do not say.
std::int64_t size_by_offsets(std::span<const std::byte> file, const Header& header) {
  if (header.sequences < 2) return 0;
  const auto length = raw<std::int32_t>(file, header.lengths_at());
  const auto bytes =
      raw<std::int64_t>(file, header.offsets_at() + 8) - raw<std::int64_t>(file, header.offsets_at());
  return length > 0 && bytes % length == 0 ? bytes / length : 0;
}

/// Indexes of DeepSpeed and Megatron-DeepSpeed have the same header, but other types from code 6 on.
void refuse_deepspeed_types(unsigned code, std::int64_t size, const fs::path& path) {
  struct Type {
    unsigned code;
    std::int64_t size;
    const char* name;
    const char* megatron;
  };
  constexpr std::array<Type, 4> kDeepSpeed{{{6, 2, "uint16", "float64"},
                                            {7, 4, "uint32", "float32"},
                                            {8, 8, "uint64", "uint16"},
                                            {9, 4, "uint32", "nothing"}}};
  for (const Type& type : kDeepSpeed) {
    const bool by_size = size == type.size || (size == 0 && code != 8);
    if (code != type.code || !by_size) continue;
    user_error(fmt::format("type {} is {} in the indexes of DeepSpeed, and {} in Megatron's", code, type.name,
                           type.megatron),
               path.string(),
               code == 6 ? "import its .bin with --format nanogpt --document-end ID, or write the data set "
                           "again with Megatron-LM"
                         : "only Megatron's types are read: write the data set again with Megatron-LM");
  }
}

Header read_header(std::span<const std::byte> file, const fs::path& path) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (!bytes.starts_with(kMagic)) {
    refuse_known_kinds(file.first(std::min(file.size(), kFileHead)), std::ssize(file), path);
    refuse(path, "not an index of Megatron (MMIDIDX)");
  }
  if (file.size() < Header::kBytes) refuse(path, "the index ends inside its header");
  const auto version = raw<std::uint64_t>(file, 9);
  if (version != kVersion) refuse(path, fmt::format("an index of version {}, only 1 is read", version));
  Header header;
  // Compare with the size before anything is multiplied or allocated.
  const auto sequences = raw<std::uint64_t>(file, 18), bounds = raw<std::uint64_t>(file, 26);
  if (sequences > file.size() / 12 || bounds > file.size() / 8)
    refuse(path, fmt::format("{} sequences and {} documents do not fit into {} bytes", sequences, bounds,
                             file.size()));
  header.sequences = sequences, header.bounds = bounds;
  if (file.size() == header.end() + header.sequences && header.sequences > 0)
    refuse(path, "the index has modes, so it is multimodal");
  if (file.size() != header.end()) {
    refuse(path, fmt::format("{} bytes, {} sequences and {} documents take {}", file.size(), sequences,
                             bounds, header.end()));
  }
  const auto code = raw<std::uint8_t>(file, 17);
  refuse_deepspeed_types(code, size_by_offsets(file, header), path);
  if (code < 1 || code > kTypes.size() || !kTypes.at(code - 1U))
    refuse(path, fmt::format("type {} is not one of integers", code));
  header.type = *kTypes.at(code - 1U);
  return header;
}

// The token at which each sequence begins, and the end.
std::vector<std::int64_t> sequence_bounds(std::span<const std::byte> file, const Header& header,
                                          const fs::path& path) {
  std::vector<std::int64_t> bounds{0};
  bounds.reserve(header.sequences + 1);
  for (std::size_t i = 0; i < header.sequences; ++i) {
    const auto length = raw<std::int32_t>(file, header.lengths_at() + 4 * i);
    const auto offset = raw<std::int64_t>(file, header.offsets_at() + 8 * i);
    if (length < 0) refuse(path, fmt::format("sequence {} has {} tokens", i, length));
    if (offset != bounds.back() * size_of(header.type)) {
      refuse(path, fmt::format("sequence {} begins at byte {}, the one before it ends at {}", i, offset,
                               bounds.back() * size_of(header.type)));
    }
    bounds.push_back(bounds.back() + length);
  }
  return bounds;
}

}  // namespace

MegatronIndex read_megatron_index(std::span<const std::byte> file, const fs::path& path) {
  const Header header = read_header(file, path);
  const std::vector<std::int64_t> sequences = sequence_bounds(file, header, path);
  MegatronIndex index{header.type, {}};
  std::int64_t previous = 0;
  for (std::size_t d = 0; d < header.bounds; ++d) {
    const auto bound = raw<std::int64_t>(file, header.bounds_at() + 8 * d);
    if (bound < previous || bound >= std::ssize(sequences) || (d == 0 && bound != 0))
      refuse(path, fmt::format("document {} begins at sequence {} of {}", d, bound, header.sequences));
    previous = bound;
    index.document_bounds.push_back(sequences[static_cast<std::size_t>(bound)]);
  }
  if (header.bounds == 0 || previous != static_cast<std::int64_t>(header.sequences)) {
    refuse(path, fmt::format("documents end at sequence {} of {}", previous, header.sequences));
  }
  return index;
}

}  // namespace granule
