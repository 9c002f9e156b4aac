// What a run directory says about its run without its tensors: the config and the newest manifest.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "apps/config/run_config.hpp"
#include "distributed/checkpoints/checkpoint.hpp"
#include "distributed/checkpoints/checkpoint_manifest.hpp"

namespace granule {

/// Advice for a path that is no run directory. It may be inside of one.
[[nodiscard]] std::string advice_for_no_run(const std::filesystem::path& path);

/// The run's config.toml. Throws a user error if there is none.
[[nodiscard]] std::filesystem::path config_file_of(const std::filesystem::path& run);

enum class Damage : bool { passed_over, said };

/// The newest manifest that can be read. With Damage::said, those that cannot be read are named on stderr.
/// Its tensors are not checked. Throws NewerCheckpoint.
[[nodiscard]] std::optional<CheckpointManifest> newest_manifest(const std::filesystem::path& run,
                                                                Damage damage = Damage::said);

/// The newest checkpoint of the run whose manifest can be read and whose files have the sizes of the
/// manifest. Their bytes are not checked. Absent if there is none.
[[nodiscard]] std::optional<StepDirectory> newest_whole(const std::filesystem::path& run);

/// The line of log.txt for a save. records_a_save() looks for it.
[[nodiscard]] std::string line_of_save(std::int64_t step);
/// Whether log.txt or run.json says that the run has saved a checkpoint. It may be gone by now.
[[nodiscard]] bool records_a_save(const std::filesystem::path& run);
/// Throws a user error if the run records a save and has no checkpoint. Their place may not be mounted.
void require_no_lost_save(const std::filesystem::path& run, std::string_view advice);

/// The config that a checkpoint was saved with. Throws a user error if the manifest has none.
[[nodiscard]] RunConfig saved_config(const CheckpointManifest& manifest, const std::string& where);

}  // namespace granule
