#include "data/imports/file_kind.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "data/imports/raw.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using std::string_view_literals::operator""sv;

struct Kind {
  std::string_view magic;
  std::size_t at;
  const char* name;
  const char* advice;
};

constexpr const char* kUnpack = "unpack it, and give the token file that is in it";
constexpr const char* kDecompress = "decompress it first";

constexpr std::array kKinds{
    Kind{"\x93NUMPY"sv, 0, "a NumPy array (.npy)",
         "write its ids without the header: numpy.load(FILE).astype('uint16').tofile(OUT)"},
    Kind{"PK\x03\x04"sv, 0, "a zip archive, as .npz and .pt files are", kUnpack},
    Kind{"PK\x05\x06"sv, 0, "an empty zip archive", kUnpack},
    Kind{"ustar"sv, 257, "a tar archive", kUnpack},
    Kind{"\x28\xB5\x2F\xFD"sv, 0, "compressed by Zstandard", kDecompress},
    Kind{"\xFD"
         "7zXZ\0"sv,
         0, "compressed by xz", kDecompress},
    Kind{"1AY&SY"sv, 4, "compressed by bzip2", kDecompress},
    Kind{"\x04\x22\x4D\x18"sv, 0, "compressed by lz4", kDecompress},
    Kind{"\x89HDF\r\n\x1A\n"sv, 0, "an HDF5 file",
         "data.path takes a directory of such files as it is, named train-*.h5 and val-*.h5"},
    Kind{"MMIDIDX\0\0"sv, 0, "the index of a Megatron data set", "give --format megatron"},
    Kind{"PAR1"sv, 0, "a Parquet file", "write the ids of its column as uint16 and nothing else"},
    Kind{"ARROW1"sv, 0, "an Arrow file", "write the ids of its column as uint16 and nothing else"},
    Kind{"GGUF"sv, 0, "a GGUF model", "give token files"},
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
  for (const Kind& kind : kKinds) {
    if (bytes.size() > kind.at && bytes.substr(kind.at).starts_with(kind.magic))
      refuse(path, kind.name, kind.advice);
  }
  if (is_gzip(bytes)) refuse(path, "compressed by gzip", kDecompress);
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
  constexpr std::size_t kEnough = 64;
  const bool is_text = head.size() >= kEnough && std::ranges::all_of(head, [](std::byte value) {
                         const auto byte = std::to_integer<unsigned char>(value);
                         return byte == '\t' || byte == '\n' || byte == '\r' || (byte >= ' ' && byte < 127);
                       });
  if (is_text) refuse(path, "text", "turn text into tokens with granule data build");
}

void refuse_wider_ids(std::span<const std::int64_t> ids, const fs::path& path) {
  constexpr std::size_t kEnough = 8;
  constexpr std::int64_t kUpperHalf = 15;  // the largest upper half of an id below a million
  if (ids.size() < kEnough) return;
  std::int64_t even = 0, odd = 0, fourth = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    (i % 2 == 0 ? even : odd) = std::max(i % 2 == 0 ? even : odd, ids[i]);
    if (i % 4 != 0) fourth = std::max(fourth, ids[i]);
  }
  if (odd > kUpperHalf || even <= 16 * std::max<std::int64_t>(odd, 1)) return;
  const char* const bits = fourth <= kUpperHalf && ids.size() >= 2 * kEnough ? "64" : "32";
  user_error(
      fmt::format("every second id of 16 bits is at most {}: these look like ids of {} bits", odd, bits),
      path.string(), "write them as uint16, or as a file of llm.c (uint32) or Megatron");
}

}  // namespace granule
