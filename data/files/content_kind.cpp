#include "data/files/content_kind.hpp"

#include <algorithm>
#include <array>

namespace granule {
namespace {

using std::string_view_literals::operator""sv;
using enum ContentKind;

struct Magic {
  std::string_view bytes;
  ContentKind kind;
  std::size_t at = 0;
};

// If one magic begins with another, the longer one comes first.
constexpr std::array kMagics{
    Magic{"\x1f\x8b"sv, gzip},
    Magic{"\x28\xb5\x2f\xfd"sv, zstandard},
    Magic{"\xfd\x37zXZ\0"sv, xz},
    Magic{"\x04\x22\x4d\x18"sv, lz4},
    Magic{"PK\x03\x04"sv, zip},
    Magic{"PK\x05\x06"sv, empty_zip},
    Magic{"7z\xbc\xaf\x27\x1c"sv, seven_zip},
    Magic{"Rar!\x1a\x07"sv, rar},
    Magic{"ustar"sv, tar, 257},
    Magic{"PAR1\x15"sv, parquet},
    Magic{"ARROW1\0"sv, arrow},
    Magic{"\xff\xff\xff\xff"sv, arrow_stream},
    Magic{"Obj\x01"sv, avro},
    Magic{"\x89HDF\r\n\x1a\n"sv, hdf5},
    Magic{"\x93NUMPY"sv, numpy},
    Magic{"MMIDIDX\0\0"sv, megatron_index},
    Magic{"GGUF"sv, gguf},
    Magic{"SQLite format 3\0"sv, sqlite},
    Magic{"%PDF-"sv, pdf},
    Magic{"{\\rtf"sv, rtf},
    Magic{"\xd0\xcf\x11\xe0"sv, old_office},
    Magic{"\x89PNG\r\n\x1a\n"sv, png},
    Magic{"\xff\xd8\xff"sv, jpeg},
    Magic{"GIF87a"sv, gif},
    Magic{"GIF89a"sv, gif},
    Magic{"\x7f"
          "ELF"sv,
          program},
    Magic{"version https://git-lfs.github.com/spec/"sv, lfs_pointer},
    Magic{"\xff\xfe\0\0"sv, utf32},
    Magic{"\0\0\xfe\xff"sv, utf32},
    Magic{"\xff\xfe"sv, utf16},
    Magic{"\xfe\xff"sv, utf16},
};

/// The block size is a digit, and the magic of the first block follows.
bool is_bzip2(std::string_view bytes) {
  return bytes.size() > 9 && bytes.starts_with("BZh") && bytes[3] >= '1' && bytes[3] <= '9' &&
         bytes.substr(4).starts_with("1AY&SY");
}

/// Protocols 2 to 5. No UTF-8 text begins with their first byte.
bool is_pickle(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

}  // namespace

std::string_view name_of(ContentKind kind) {
  switch (kind) {
    case gzip:
      return "a gzip file";
    case zstandard:
      return "a Zstandard file";
    case xz:
      return "an xz file";
    case lz4:
      return "an lz4 file";
    case bzip2:
      return "a bzip2 file";
    case zip:
      return "a zip archive";
    case empty_zip:
      return "an empty zip archive";
    case seven_zip:
      return "a 7z archive";
    case rar:
      return "a RAR archive";
    case tar:
      return "a tar archive";
    case parquet:
      return "a Parquet file";
    case arrow:
      return "an Arrow file";
    case arrow_stream:
      return "an Arrow stream or other binary data";
    case avro:
      return "an Avro file";
    case hdf5:
      return "an HDF5 file";
    case numpy:
      return "a NumPy file";
    case megatron_index:
      return "an index of Megatron";
    case gguf:
      return "a GGUF model";
    case sqlite:
      return "an SQLite database";
    case pickle:
      return "a pickle of Python";
    case pdf:
      return "a PDF document";
    case rtf:
      return "an RTF document";
    case old_office:
      return "an old Office document";
    case png:
      return "a PNG image";
    case jpeg:
      return "a JPEG image";
    case gif:
      return "a GIF image";
    case program:
      return "a program or library";
    case lfs_pointer:
      return "a Git LFS pointer, not the file itself";
    case utf32:
      return "UTF-32 text";
    case utf16:
      return "UTF-16 text";
  }
  return "a file of an unknown kind";
}

bool is_packed(ContentKind kind) {
  constexpr std::array kPacked{gzip, zstandard, xz, lz4, bzip2, zip, empty_zip, seven_zip, rar, tar};
  return std::ranges::find(kPacked, kind) != kPacked.end();
}

std::optional<ContentKind> kind_of_content(std::string_view beginning) {
  for (const Magic& magic : kMagics) {
    if (beginning.size() >= magic.at && beginning.substr(magic.at).starts_with(magic.bytes))
      return magic.kind;
  }
  if (is_bzip2(beginning)) return bzip2;
  if (is_pickle(beginning)) return pickle;
  return std::nullopt;
}

}  // namespace granule
