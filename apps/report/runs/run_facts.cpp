#include "apps/report/runs/run_facts.hpp"

#include <limits>

#include <fmt/format.h>

#include "apps/config/run_config.hpp"
#include "apps/config/run_config_keys.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/runs/run_status.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "data/files/run_lock.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Json = nlohmann::ordered_json;

/// Null if there is none. The record of a run may be damaged or of another version.
json member(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() ? *found : json();
}

std::string text_of(const json& object, const char* key) {
  const json value = member(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

json last_session(const json& record) {
  const json sessions = member(record, "sessions");
  return sessions.is_array() && !sessions.empty() ? sessions.back() : json();
}

/// Two paths may have the same data. The weights of a mix are a part of what a run reads.
void put_data(RunFacts& facts, const RunConfig& config, const json& session) {
  const json sources = member(member(session, "data"), "sources");
  const auto parts = config.data.sources();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string path = as_utf8(parts[i].directory.string());
    const std::string digest = sources.is_array() && i < sources.size() ? text_of(sources[i], "sha256") : "";
    facts.data += fmt::format("{}*{} ", digest.empty() ? path : digest, parts[i].weight);
    facts.data_path += (i > 0 ? ", " : "") + path;
  }
}

void put_config(RunFacts& facts, const RunConfig& config) {
  for (const ConfigKey& key : config_keys()) {
    if (key.name != "data.path" && key.name != "data.mix")
      facts.config[std::string(key.name)] = Json(key.get(config));
  }
  facts.micro_batches_matter =
      config.moe.n_routed_experts > 0 && (!config.moe.seq_aux || config.moe.capacity_factor > 0.0);
  facts.evaluates = config.eval.every.amount > 0.0;
  if (config.model.vocab_size == 0) return;
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  facts.total_parameters = counts.total();
  facts.activated_parameters = counts.activated();
  const std::int64_t length = config.data.seq_len;
  facts.flops_per_token =
      training_flops(config.model, config.moe, length, length) / static_cast<double>(length);
}

void put_start(RunFacts& facts, const json& record) {
  const json start = member(record, "start");
  const std::string kind = text_of(start, "kind");
  if (kind.empty() || kind == "initialised") return;
  facts.start = fmt::format("{} {} {}", kind, text_of(start, "digest"), member(start, "step").dump());
  facts.start_text = kind + " " + text_of(start, "path");
}

void put_own_state(RunFacts& facts, const fs::path& run, std::int64_t last_step) {
  const std::string why = text_of(facts.session, "stopped_by");
  const bool ended = member(facts.session, "ended").is_string();
  // If the file system has no locks, a session without an end may still train.
  const bool held = lock_state(run).held.value_or(facts.session.is_object() && !ended);
  if (facts.steps && last_step >= *facts.steps) {
    facts.state = "complete";
  } else if (held) {
    facts.state = "running";
  } else if (!why.empty() && !why.starts_with("SIG")) {
    facts.state = "failed";
    facts.error = why;
  } else {
    facts.state = "stopped";
  }
}

/// What the sweep knows better than the run is that a cell has failed, also one that is complete and cannot
/// be compared, and that one waits. A cell without a row waits, even if a sweep that was killed has made its
/// directory.
void put_cell_state(RunFacts& facts, const SweepCell& cell, std::int64_t last_step) {
  if (cell.state == "failed" && facts.state != "running") {
    facts.state = "failed";
    if (!cell.error.empty()) facts.error = cell.error;
  } else if (facts.state == "stopped" && last_step == 0) {
    facts.state = "waiting";
  }
}

/// For a cell that waits, the table of the sweep is all there is.
void put_cell(RunFacts& facts, const SweepCell& cell) {
  for (const auto& [key, value] : cell.values.items()) {
    if (!facts.config.contains(key)) facts.config[key] = value;
  }
  if (!facts.steps) facts.steps = cell.steps;
  if (facts.total_parameters) return;
  facts.total_parameters = cell.total_parameters;
  facts.activated_parameters = cell.activated_parameters;
}

}  // namespace

RunFacts facts_of(const FoundRun& run) {
  RunFacts facts;
  facts.flops_per_token = std::numeric_limits<double>::quiet_NaN();
  std::error_code failure;
  if (fs::is_directory(run.path, failure)) {
    const json record = provenance_of(run.path, json::object());
    facts.session = last_session(record);
    facts.steps = steps_of_run(run.path, record);
    put_start(facts, record);
    try {
      const RunConfig config = load_run_config(config_file_of(run.path), {});
      put_config(facts, config);
      put_data(facts, config, facts.session);
    } catch (const Error& error) {
      facts.notes.push_back(as_utf8(error.what()));
    }
  }
  if (run.cell) put_cell(facts, *run.cell);
  if (!run.note.empty()) facts.notes.push_back(run.note);
  return facts;
}

void put_state(RunFacts& facts, const FoundRun& run, std::int64_t last_step) {
  std::error_code failure;
  if (fs::is_directory(run.path, failure)) put_own_state(facts, run.path, last_step);
  if (run.cell) put_cell_state(facts, *run.cell, last_step);
}

bool is_held(const FoundRun& run) {
  std::error_code failure;
  return fs::is_directory(run.path, failure) && lock_state(run.path).held.value_or(false);
}

}  // namespace granule
