#include "data/text/file_kind.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace granule {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  std::string_view bytes;
  FileKind kind;
  std::size_t at = 0;
};

constexpr std::string_view kUnpack = "unpack it, and give its files or their folder";
constexpr std::string_view kDecompress = "decompress it, or compress the text with gzip or Zstandard";
constexpr std::string_view kExtract = "extract its text, and give that as .txt or as JSON Lines";
constexpr std::string_view kToJsonLines = "write its text as JSON Lines, such as {\"text\": \"...\"} a line";
constexpr std::string_view kUtf16 = "convert it: iconv -f UTF-16 -t UTF-8";
constexpr std::string_view kUtf32 = "convert it: iconv -f UTF-32 -t UTF-8";

// If one magic begins with another, the longer one comes first.
constexpr std::array kMagics{
    Magic{"\x1f\x8b"sv, {"a gzip file", "decompress it once more", Packing::compressed}},
    Magic{"\x28\xb5\x2f\xfd"sv, {"a Zstandard file", "decompress it once more", Packing::compressed}},
    Magic{"\xfd\x37zXZ\0"sv, {"an xz file", kDecompress, Packing::compressed}},
    Magic{"\x04\x22\x4d\x18"sv, {"an lz4 file", kDecompress, Packing::compressed}},
    Magic{"PK\x03\x04"sv, {"a zip archive", kUnpack, Packing::compressed}},
    Magic{"PK\x05\x06"sv, {"an empty zip archive", kUnpack, Packing::compressed}},
    Magic{"7z\xbc\xaf\x27\x1c"sv, {"a 7z archive", kUnpack, Packing::compressed}},
    Magic{"Rar!\x1a\x07"sv, {"a RAR archive", kUnpack, Packing::compressed}},
    Magic{"ustar"sv, {"a tar archive", kUnpack, Packing::compressed}, 257},
    Magic{"PAR1\x15"sv, {"a Parquet file", kToJsonLines}},
    Magic{"ARROW1\0"sv, {"an Arrow file", kToJsonLines}},
    Magic{"\xff\xff\xff\xff"sv, {"an Arrow stream or other binary data", kToJsonLines}},
    Magic{"Obj\x01"sv, {"an Avro file", kToJsonLines}},
    Magic{"\x89HDF\r\n\x1a\n"sv, {"an HDF5 file", "a data set of token shards needs no build"}},
    Magic{"\x93NUMPY"sv, {"a NumPy file", "give text; granule data import reads files of token ids"}},
    Magic{"MMIDIDX\0\0"sv, {"an index of Megatron", "granule data import --format megatron reads it"}},
    Magic{"SQLite format 3\0"sv, {"an SQLite database", kToJsonLines}},
    Magic{"%PDF-"sv, {"a PDF document", kExtract}},
    Magic{"{\\rtf"sv, {"an RTF document", kExtract}},
    Magic{"\xd0\xcf\x11\xe0"sv, {"an old Office document", kExtract}},
    Magic{"\x89PNG\r\n\x1a\n"sv, {"a PNG image", "give text"}},
    Magic{"\xff\xd8\xff"sv, {"a JPEG image", "give text"}},
    Magic{"GIF87a"sv, {"a GIF image", "give text"}},
    Magic{"GIF89a"sv, {"a GIF image", "give text"}},
    Magic{"\x7f"
          "ELF"sv,
          {"a program or library", "give text"}},
    Magic{"version https://git-lfs.github.com/spec/"sv,
          {"a Git LFS pointer, not the file itself", "get the file: git lfs pull"}},
    Magic{"\xff\xfe\0\0"sv, {"UTF-32 text", kUtf32}},
    Magic{"\0\0\xfe\xff"sv, {"UTF-32 text", kUtf32}},
    Magic{"\xff\xfe"sv, {"UTF-16 text", kUtf16}},
    Magic{"\xfe\xff"sv, {"UTF-16 text", kUtf16}},
};

/// The block size is a digit, and the magic of the first block follows.
bool is_bzip2(std::string_view text) {
  return text.size() > 9 && text.starts_with("BZh") && text[3] >= '1' && text[3] <= '9' &&
         text.substr(4).starts_with("1AY&SY");
}

/// Protocols 2 to 5. No UTF-8 text begins with their first byte.
bool is_pickle(std::string_view text) {
  return text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

}  // namespace

std::optional<FileKind> kind_of_content(std::string_view beginning) {
  for (const Magic& magic : kMagics) {
    if (beginning.size() >= magic.at && beginning.substr(magic.at).starts_with(magic.bytes))
      return magic.kind;
  }
  if (is_bzip2(beginning)) return FileKind{"a bzip2 file", kDecompress, Packing::compressed};
  if (is_pickle(beginning)) return FileKind{"a pickle of Python", kToJsonLines};
  return std::nullopt;
}

Bytes kind_of_bytes(std::string_view beginning) {
  std::array<std::size_t, 2> nuls{};
  for (std::size_t i = 0; i < beginning.size(); ++i) nuls.at(i % 2) += beginning[i] == '\0' ? 1 : 0;
  const auto [fewer, more] = std::minmax(nuls[0], nuls[1]);
  if (more == 0) return Bytes::text;
  // In Western text all high bytes are NUL. In other scripts those of spaces and line ends are.
  return fewer * 20 < more && more * 10 > beginning.size() ? Bytes::utf16 : Bytes::binary;
}

}  // namespace granule
