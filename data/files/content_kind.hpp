// Recognises the kind of a file by its first bytes: archives, arrays, databases, documents and images.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace granule {

enum class ContentKind : std::uint8_t {
  gzip,
  zstandard,
  xz,
  lz4,
  bzip2,
  zip,
  empty_zip,
  seven_zip,
  rar,
  tar,
  parquet,
  arrow,
  arrow_stream,
  avro,
  hdf5,
  numpy,
  megatron_index,
  gguf,
  sqlite,
  pickle,
  pdf,
  rtf,
  old_office,
  png,
  jpeg,
  gif,
  program,
  lfs_pointer,
  utf32,
  utf16,
};

/// The name with its article: "a zip archive".
[[nodiscard]] std::string_view name_of(ContentKind kind);
/// Whether the file packs others, or compresses one.
[[nodiscard]] bool is_packed(ContentKind kind);

/// The kind of a file that begins with these bytes. Absent for text and for unknown kinds. 512 bytes are
/// enough to tell. Some kinds are known by two bytes only, with which a file of token ids could begin.
[[nodiscard]] std::optional<ContentKind> kind_of_content(std::string_view beginning);

}  // namespace granule
