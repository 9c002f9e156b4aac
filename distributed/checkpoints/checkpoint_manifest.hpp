// state.json, the manifest of a checkpoint. It says which step the checkpoint is of and which files it has,
// and it shows every damage to them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/atomic_file.hpp"

namespace granule {

inline constexpr const char* kManifestName = "state.json";
inline constexpr std::int64_t kCheckpointVersion = 1;

struct CheckpointManifest {
  std::int64_t step = 0;              ///< optimizer steps done
  std::int64_t consumed_samples = 0;  ///< consumed by steps, without what was only prefetched
  /// By name: config, digests, and everything else that a run needs to resume.
  nlohmann::json sections = nlohmann::json::object();
  std::vector<WrittenFile> files;
};

/// A newer program wrote the checkpoint. It is not damaged, and the run must not fall back to an older one.
class NewerCheckpoint : public Error {
 public:
  using Error::Error;
};

/// The text ends with the XXH3 of everything before it. Throws if the sections cannot be written as JSON and
/// read back unchanged (NaN, infinity, ill-formed UTF-8).
[[nodiscard]] std::string manifest_text(const CheckpointManifest& manifest);

/// Throws a user error "damaged checkpoint: <reason>", or NewerCheckpoint. It finds any change of a single
/// bit.
[[nodiscard]] CheckpointManifest parse_manifest(std::string_view text, std::string_view where);
[[nodiscard]] CheckpointManifest load_manifest(const std::filesystem::path& checkpoint);

/// Whether the name needs no quoting anywhere: [a-z0-9._-], beginning with a letter or digit.
[[nodiscard]] bool is_plain_file_name(std::string_view name);

/// "damaged checkpoint: <reason> (<where>): …", exit code 2.
[[noreturn]] void refuse_checkpoint(std::string_view reason, std::string_view where);

}  // namespace granule
