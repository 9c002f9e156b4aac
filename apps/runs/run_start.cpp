#include "apps/runs/run_start.hpp"

#include <algorithm>

#include "apps/runs/fork_source.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "distributed/agreement.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Kind = RunStart::Kind;

constexpr std::pair<Kind, const char*> kKinds[] = {
    {Kind::initialised, "initialised"}, {Kind::model, "init-from"}, {Kind::fork, "fork"}};

const char* name_of(Kind kind) {
  return std::ranges::find(kKinds, kind, &std::pair<Kind, const char*>::first)->second;
}

/// What rank 0 finds: the kind, the path of what is opened, the run's saved config, and its provenance.
struct Found {
  Kind kind = Kind::initialised;
  std::string path;
  json saved_config, before;
};

/// How the run began. The command line says it, or else an earlier job of the same run recorded it.
void note_beginning(Found& found, const TrainArguments& arguments) {
  if (!arguments.fork.empty() || !arguments.init_from.empty()) {
    found.kind = arguments.fork.empty() ? Kind::model : Kind::fork;
    return;
  }
  if (!found.before.is_object()) return;
  const json& start = found.before.at("start");
  for (const auto& [kind, name] : kKinds) {
    if (start.value("kind", "") == name) found.kind = kind;
  }
  found.path = start.value("path", "");
}

/// Without a config file and without a fork, there must already be a run.
void require_own_config(const TrainArguments& arguments) {
  std::error_code failure;
  if (!arguments.config.empty() || !arguments.fork.empty()) return;
  if (!fs::is_directory(arguments.out, failure)) {
    user_error("there is no run to go on with", arguments.out.string(),
               "give the --out of granule train; to begin a run, give a config and --out");
  }
  static_cast<void>(config_file_of(arguments.out));
}

Found look(const TrainArguments& arguments) {
  require_own_config(arguments);
  Found found;
  std::optional<CheckpointManifest> manifest;
  if (arguments.resume && !arguments.out.empty()) {
    // A new start would overwrite the record of the run.
    require_no_lost_save(arguments.out,
                         "mount or put back checkpoints/ to go on; to start from the beginning, "
                         "give another --out");
    // The search for the checkpoint to resume names those that are damaged.
    manifest = newest_manifest(arguments.out, Damage::passed_over);
    found.before = provenance_of(arguments.out, manifest ? manifest->sections : json::object());
  }
  note_beginning(found, arguments);
  if (manifest) {
    found.saved_config = manifest->sections.value("config", json());
  } else if (!arguments.fork.empty()) {
    found.path = find_fork_source(arguments.fork);
  } else if (!arguments.init_from.empty()) {
    found.path = open_model_to_override(arguments.init_from).path();
  }
  return found;
}

std::string text_of(const Found& found) {
  // A path need not be UTF-8, but JSON must be.
  const auto bytes = std::vector<std::uint8_t>(found.path.begin(), found.path.end());
  return json{{"kind", static_cast<int>(found.kind)},
              {"path", bytes},
              {"config", found.saved_config},
              {"before", found.before}}
      .dump();
}

Found found_of(const std::string& text) {
  const json document = json::parse(text);
  const auto bytes = document.at("path").get<std::vector<std::uint8_t>>();
  return {static_cast<Kind>(document.at("kind").get<int>()), std::string(bytes.begin(), bytes.end()),
          document.at("config"), document.at("before")};
}

/// Only the keys of model and moe. A user who starts from a model need not train it as it was trained before.
ConfigBase base_of(const ConfigBase& whole) {
  return {{.model = whole.config.model, .moe = whole.config.moe}, whole.name, whole.faults};
}

/// A fork without a config file trains like its source, except for the overrides. If the kind of schedule is
/// new, none of the old schedule is kept.
ConfigBase whole_base(const ModelFiles& source, const TrainArguments& arguments) {
  ConfigBase base = source.config_base();
  const auto is_kind = [](const std::string& word) { return word.starts_with("schedule.kind"); };
  if (std::ranges::any_of(arguments.overrides, is_kind)) base.config.schedule = {};
  return base;
}

/// Whether rank 0 no longer sees what it found. A job that trains the source removes old checkpoints.
bool has_gone(Communicator& ranks, const fs::path& path) {
  std::error_code failure;
  const bool gone = ranks.rank() == 0 && !path.empty() && !fs::exists(path, failure);
  return text_of_rank_0(ranks, gone ? "gone" : "there", "what the run starts from") == "gone";
}

Found found_together(Communicator& ranks, const TrainArguments& arguments) {
  Found found;
  agree(ranks, [&] {
    if (ranks.rank() == 0) found = look(arguments);
  });
  return found_of(text_of_rank_0(ranks, text_of(found), "what the run starts from"));
}

RunStart opened(Communicator& ranks, const TrainArguments& arguments, const Found& found) {
  RunStart start{.kind = found.kind, .before = found.before};
  agree(ranks, [&] {
    if (start.kind == Kind::initialised) return;
    if (!found.saved_config.is_null()) {  // the run's own checkpoint has everything
      const std::string out = arguments.out.string();
      start.base = base_of({run_config_from_json(found.saved_config, out), out});
      return;
    }
    start.files = ModelFiles::open(found.path);
    if (start.kind == Kind::fork && start.files->checkpoint() == nullptr)
      user_error("this is no checkpoint to fork", found.path, "give RUN or RUN:STEP");
    start.base = base_of(start.files->config_base());
  });
  return start;
}

}  // namespace

RunStart open_start(Communicator& ranks, const TrainArguments& arguments) {
  constexpr int kTries = 20;
  for (int tries = 1;; ++tries) {
    const Found found = found_together(ranks, arguments);
    try {
      return opened(ranks, arguments, found);
    } catch (const Error&) {  // on all ranks
      if (tries == kTries || !has_gone(ranks, found.path)) throw;
    }
  }
}

RunConfig config_of_run(const TrainArguments& arguments, const RunStart& start, std::int64_t ranks) {
  ConfigOptions options{.ranks = ranks, .base = start.base};
  if (!arguments.config.empty()) return load_run_config(arguments.config, arguments.overrides, options);
  std::error_code failure;
  const bool has_own = arguments.resume && fs::exists(arguments.out / "config.toml", failure);
  if (!has_own && start.kind == Kind::fork && start.files) {
    options.base = whole_base(*start.files, arguments);
    return override_run_config(arguments.overrides, options);
  }
  return load_run_config(config_file_of(arguments.out), arguments.overrides, options);
}

json described_start(const RunStart& start, const RunConfig& config) {
  json described{{"kind", name_of(start.kind)}};
  if (!start.files) {
    described["seed"] = config.train.seed;
    return described;
  }
  const ModelFiles& files = *start.files;
  described["path"] = as_utf8(fs::absolute(files.path()).lexically_normal().string());
  described["step"] = files.checkpoint() != nullptr ? json(files.checkpoint()->step()) : json();
  if (files.checkpoint() != nullptr) {
    described["digest"] = "xxh3:" + xxh3_of_file(files.path() / kManifestName);
    return described;
  }
  Xxh3 digest;
  for (const std::string& name : files.tensors().names()) {
    digest.add(std::as_bytes(std::span(name)));
    digest.add(files.tensors().find(name)->bytes);
  }
  described["digest"] = "xxh3:" + digest.finish();
  return described;
}

}  // namespace granule
