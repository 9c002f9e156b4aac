#include "apps/runs/saved_run.hpp"

#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "distributed/checkpoint.hpp"

namespace granule {

namespace fs = std::filesystem;

std::string advice_for_no_run(const fs::path& path) {
  std::error_code failure;
  const fs::path inside = (fs::absolute(path, failure) / "").lexically_normal().parent_path();
  for (const fs::path& run : {inside.parent_path(), inside.parent_path().parent_path()}) {
    if (fs::is_directory(run / "checkpoints", failure) && fs::exists(run / "config.toml", failure))
      return fmt::format("give the run itself, {}", run.string());
  }
  return "give the --out of granule train";
}

fs::path config_file_of(const fs::path& run) {
  fs::path file = run / "config.toml";
  std::error_code failure;
  if (!fs::is_regular_file(file, failure)) {
    user_error("this is no run directory: there is no config.toml", run.string(), advice_for_no_run(run));
  }
  return file;
}

std::optional<CheckpointManifest> newest_manifest(const fs::path& run, Damage damage) {
  for (const StepDirectory& directory : list_checkpoints(run)) {
    try {
      return load_manifest(directory.path);
    } catch (const NewerCheckpoint&) {
      throw;
    } catch (const Error& error) {
      if (damage == Damage::said)
        say("granule: warning: passed over {}: {}", directory.path.string(), error.what());
    }
  }
  return std::nullopt;
}

RunConfig saved_config(const CheckpointManifest& manifest, const std::string& where) {
  if (!manifest.sections.contains("config")) refuse_checkpoint("it holds no config", where);
  return run_config_from_json(manifest.sections.at("config"), where);
}

}  // namespace granule
