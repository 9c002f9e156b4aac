// manifest.json of a data set. It lists the shards that belong to it, and their digests.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

inline constexpr std::string_view kManifestFile = "manifest.json";

struct ManifestShard {
  std::string file;   ///< a plain name, next to the manifest
  std::string split;  ///< "train" or "val"
  std::int64_t n_tokens = 0;
  std::int64_t n_docs = 0;
  std::string sha256;  ///< of the file
};

struct Manifest {
  std::int64_t vocab_size = 0;
  std::string tokenizer_sha256;       ///< empty if it is not known
  std::vector<ManifestShard> shards;  ///< in the order of names
};

/// Throws a user error that names the file and the key if anything is malformed.
[[nodiscard]] Manifest read_manifest(const std::filesystem::path& path);
/// Names of the shards (*.h5) in a data set that its manifest does not list, in the order of names. Nobody
/// reads them. There are none without a manifest.
[[nodiscard]] std::vector<std::string> unlisted_shards(const std::filesystem::path& directory);
/// Throws an I/O error. The file appears whole or not at all.
void write_manifest(const std::filesystem::path& path, const Manifest& manifest);

}  // namespace granule
