#include "data/text/file_kind.hpp"

#include <algorithm>
#include <array>

namespace granule {

std::string_view text_advice(ContentKind kind) {
  using enum ContentKind;
  switch (kind) {
    case gzip:
    case zstandard:
      return "decompress it once more";
    case xz:
    case lz4:
    case bzip2:
      return "decompress it, or compress the text with gzip or Zstandard";
    case zip:
    case empty_zip:
    case seven_zip:
    case rar:
    case tar:
      return "unpack it, and give its files or their folder";
    case parquet:
    case arrow:
    case arrow_stream:
    case avro:
    case sqlite:
    case pickle:
      return "write its text as JSON Lines, such as {\"text\": \"...\"} a line";
    case hdf5:
      return "a data set of token shards needs no build";
    case numpy:
      return "give text; granule data import reads files of token ids";
    case megatron_index:
      return "granule data import --format megatron reads it";
    case pdf:
    case rtf:
    case old_office:
      return "extract its text, and give that as .txt or as JSON Lines";
    case lfs_pointer:
      return "get the file: git lfs pull";
    case utf32:
      return "convert it: iconv -f UTF-32 -t UTF-8";
    case utf16:
      return "convert it: iconv -f UTF-16 -t UTF-8";
    case gguf:
    case png:
    case jpeg:
    case gif:
    case program:
      return "give text";
  }
  return "give text";
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
