#include "apps/runs/saved_run.hpp"

#include <algorithm>
#include <fstream>

#include <nlohmann/json.hpp>

#include "apps/program/console.hpp"
#include "apps/runs/provenance.hpp"
#include "core/error.hpp"

namespace granule {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSaved = "saved ";

bool is_whole(const StepDirectory& listed) {
  try {
    const CheckpointManifest manifest = load_manifest(listed.path);
    return manifest.step == listed.step && std::ranges::all_of(manifest.files, [&](const WrittenFile& file) {
             std::error_code failure;
             const std::uintmax_t size = fs::file_size(listed.path / file.name, failure);
             return !failure && size == static_cast<std::uintmax_t>(file.size);
           });
  } catch (const NewerCheckpoint&) {  // another program can read it
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Whether a session began after the run did, so that it had a checkpoint, or ended as one that saves.
bool sessions_saved(const nlohmann::json& record) {
  if (!record.is_object() || record["sessions"].empty()) return false;
  const auto step = [](const nlohmann::json& session, const char* key, std::int64_t otherwise) {
    const auto value = session.value(key, nlohmann::json());
    return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
  };
  const std::int64_t begun = step(record["sessions"].front(), "from_step", 0);
  return std::ranges::any_of(record["sessions"], [&](const nlohmann::json& session) {
    const std::int64_t from = step(session, "from_step", begun);
    const auto why = session.value("stopped_by", nlohmann::json());
    const bool in_order = why.is_null() || (why.is_string() && why.get<std::string>().starts_with("SIG"));
    return from > begun || (in_order && step(session, "to_step", from) > from);
  });
}

}  // namespace

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

std::optional<StepDirectory> newest_whole(const fs::path& run) {
  for (const StepDirectory& listed : list_checkpoints(run)) {
    if (is_whole(listed)) return listed;
  }
  return std::nullopt;
}

std::string line_of_save(std::int64_t step) {
  return std::string(kSaved) + checkpoint_name(step);
}

bool records_a_save(const fs::path& run) {
  std::ifstream log(run / "log.txt", std::ios::binary);
  for (std::string line; std::getline(log, line);) {
    if (line.starts_with(kSaved)) return true;
  }
  return sessions_saved(provenance_of(run, nlohmann::json()));
}

void require_no_lost_save(const fs::path& run, std::string_view advice) {
  if (!list_checkpoints(run).empty() || !records_a_save(run)) return;
  user_error("the run has saved checkpoints, and there is none now", checkpoints_of(run).string(), advice);
}

RunConfig saved_config(const CheckpointManifest& manifest, const std::string& where) {
  if (!manifest.sections.contains("config")) refuse_checkpoint("it holds no config", where);
  return run_config_from_json(manifest.sections.at("config"), where);
}

}  // namespace granule
