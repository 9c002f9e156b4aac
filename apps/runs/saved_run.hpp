// What a run directory says of its run without its tensors: the config, and the newest manifest.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "apps/config/run_config.hpp"
#include "distributed/checkpoint_manifest.hpp"

namespace granule {

/// The run's config.toml. Throws a user error where there is none.
[[nodiscard]] std::filesystem::path config_file_of(const std::filesystem::path& run);

/// The newest manifest that can be read; those that cannot are named on stderr. Its tensors are not looked
/// at. Throws NewerCheckpoint.
[[nodiscard]] std::optional<CheckpointManifest> newest_manifest(const std::filesystem::path& run);

/// The config that a checkpoint was saved with. Throws a user error where it holds none.
[[nodiscard]] RunConfig saved_config(const CheckpointManifest& manifest, const std::string& where);

}  // namespace granule
