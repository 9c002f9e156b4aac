#include "data/imports/file_kind.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "data/files/content_kind.hpp"
#include "data/imports/raw.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using std::string_view_literals::operator""sv;

struct Advice {
  ContentKind kind;
  std::string_view text;
};

constexpr std::string_view kUnpack =
    "unpack it, and give the token file that is in it (.npz and .pt files are zip archives)";
constexpr std::string_view kDecompress = "decompress it first";
constexpr std::string_view kColumn = "write the ids of its column as uint16 and nothing else";

// Kinds that are known by bytes which are unlikely as ids.
constexpr std::array kRefused{
    Advice{ContentKind::numpy,
           "write its ids without the header: numpy.load(FILE).astype('uint16').tofile(OUT)"},
    Advice{ContentKind::zip, kUnpack},
    Advice{ContentKind::empty_zip, kUnpack},
    Advice{ContentKind::tar, kUnpack},
    Advice{ContentKind::zstandard, kDecompress},
    Advice{ContentKind::xz, kDecompress},
    Advice{ContentKind::bzip2, kDecompress},
    Advice{ContentKind::lz4, kDecompress},
    Advice{ContentKind::hdf5,
           "data.path takes a directory of such files as it is, named train-*.h5 and val-*.h5"},
    Advice{ContentKind::megatron_index, "give --format megatron"},
    Advice{ContentKind::parquet, kColumn},
    Advice{ContentKind::arrow, kColumn},
    Advice{ContentKind::gguf, "give token files"},
};

[[noreturn]] void refuse(const fs::path& path, std::string_view name, std::string_view advice) {
  user_error(fmt::format("this is no token file: it is {}", name), path.string(), advice);
}

// The first two bytes could be an id, so the bytes after them are checked too. They have few possible values.
bool is_gzip(std::string_view bytes) {
  return bytes.size() >= 18 && bytes.starts_with("\x1F\x8B\x08"sv) &&
         static_cast<unsigned char>(bytes[3]) < 32 && (bytes[8] == 0 || bytes[8] == 2 || bytes[8] == 4);
}

// A file begins with the length of a JSON object, and the object follows.
bool is_safetensors(std::span<const std::byte> head, std::string_view bytes, std::int64_t size) {
  return head.size() > 10 && bytes[8] == '{' && (bytes[9] == '"' || bytes[9] == '}') && size > 8 &&
         raw<std::uint64_t>(head, 0) <= static_cast<std::uint64_t>(size - 8);
}

// llm.c's files of tokens, models, debug states and tokenizers, in any version.
bool is_llmc(std::span<const std::byte> head) {
  constexpr std::array<std::int32_t, 5> kMagics{20240326, 20240327, 20240328, 20240520, 20240801};
  return head.size() >= 8 && std::ranges::find(kMagics, raw<std::int32_t>(head, 0)) != kMagics.end();
}

}  // namespace

void refuse_known_kinds(std::span<const std::byte> head, std::int64_t size, const fs::path& path) {
  const std::string_view bytes(reinterpret_cast<const char*>(head.data()), head.size());
  const auto kind = kind_of_content(bytes);
  const auto* const advice = std::ranges::find(kRefused, kind, &Advice::kind);
  if (advice != kRefused.end()) refuse(path, name_of(advice->kind), advice->text);
  if (is_gzip(bytes)) refuse(path, name_of(ContentKind::gzip), kDecompress);
  if (is_safetensors(head, bytes, size)) refuse(path, "a safetensors file", "give token files");
}

void refuse_llmc(std::span<const std::byte> head, const fs::path& path) {
  if (is_llmc(head)) {
    user_error(fmt::format("this is a file of llm.c, with a header of magic {} and version {}",
                           raw<std::int32_t>(head, 0), raw<std::int32_t>(head, 4)),
               path.string(), "give --format llmc if it holds tokens");
  }
}

void refuse_text(std::span<const std::byte> head, const fs::path& path) {
  constexpr std::size_t kEnough = 16;
  const bool is_text = head.size() >= kEnough && std::ranges::all_of(head, [](std::byte value) {
                         const auto byte = std::to_integer<unsigned char>(value);
                         return byte == '\t' || byte == '\n' || byte == '\r' || (byte >= ' ' && byte < 127);
                       });
  if (is_text) refuse(path, "text", "turn text into tokens with granule data build");
}

void refuse_wider_ids(std::span<const std::int64_t> ids, const fs::path& path) {
  constexpr std::size_t kFew = 8, kMany = 64;
  if (ids.size() < kFew) return;
  // The upper half of an id is at most 1 for Llama 3, and at most 4 for the largest vocabularies. Among few
  // ids of 16 bits, every second one may be as small by chance.
  const std::int64_t most = ids.size() < kMany ? 1 : 4;
  std::array<std::int64_t, 4> largest{};
  for (std::size_t i = 0; i < ids.size(); ++i) largest.at(i % 4) = std::max(largest.at(i % 4), ids[i]);
  const std::int64_t even = std::max(largest[0], largest[2]), odd = std::max(largest[1], largest[3]);
  const std::int64_t upper = std::min(even, odd), lower = std::max(even, odd);
  if (upper > most || lower <= 16 * std::max<std::int64_t>(upper, 1)) return;
  const bool big_endian = even < odd;
  const bool is_64 = !big_endian && largest[2] <= most && ids.size() >= 2 * kFew;
  user_error(fmt::format("every second id of 16 bits is at most {}: these look like {}ids of {} bits", upper,
                         big_endian ? "big-endian " : "", is_64 ? 64 : 32),
             path.string(), "write them as uint16, or as a file of llm.c (uint32) or Megatron");
}

}  // namespace granule
