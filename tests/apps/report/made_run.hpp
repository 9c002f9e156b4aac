// Run directories with figures that a test chooses, made without training.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/config/run_config.hpp"
#include "tests/support/files.hpp"

namespace granule::test {

struct MadeRun {
  std::vector<std::string> overrides{};  ///< of the config: "moe.aux_loss_alpha=0.1"
  int steps = 4, done = 4;
  double ce = 3.0;  ///< of the last row; the validation cross-entropy is 0.5 more
  bool evaluated = true;
  std::string data = "d1", start{}, stopped_by{};  ///< start is the digest of a checkpoint
};

inline std::string made_row(const MadeRun& run, int step) {
  nlohmann::ordered_json row{{"step", step},
                             {"tokens", step * 64},
                             {"ce", run.ce + (run.done - step)},
                             {"step_seconds", 1.0},
                             {"skips", 0}};
  if (step == run.done && run.evaluated) row["val_ce"] = run.ce + 0.5;
  return row.dump() + "\n";
}

/// The data of the run are in a place of their own, as if each run came from another machine.
inline void make_run(const std::filesystem::path& directory, const MadeRun& run) {
  std::filesystem::create_directories(directory);
  write_text(directory / "config.toml",
             "[model]\nvocab_size = 59\nhidden_size = 16\nnum_hidden_layers = 2\nnum_attention_heads = 2\n"
             "intermediate_size = 24\nmax_position_embeddings = 32\n[moe]\nn_routed_experts = 8\n"
             "num_experts_per_tok = 2\nmoe_intermediate_size = 8\n[schedule]\nkind = \"constant\"\n"
             "[train]\nbatch_size = 4\n[eval]\nevery = 4\n");
  std::vector<std::string> overrides{fmt::format("train.steps={}", run.steps),
                                     fmt::format("data.path={}/data", directory.string())};
  overrides.insert(overrides.end(), run.overrides.begin(), run.overrides.end());
  write_text(directory / "config.toml", to_toml(load_run_config(directory / "config.toml", overrides)));
  const bool stopped = !run.stopped_by.empty();
  nlohmann::json session{{"steps", run.steps},
                         {"from_step", 0},
                         {"ended", "2026-11-28T14:04:46Z"},
                         {"to_step", run.done},
                         {"stopped_by", stopped ? nlohmann::json(run.stopped_by) : nlohmann::json()},
                         {"data", {{"sources", {{{"path", "p"}, {"sha256", run.data}}}}}}};
  nlohmann::json start{{"kind", "initialised"}, {"seed", 0}};
  if (!run.start.empty())
    start = {{"kind", "fork"}, {"path", "runs/first"}, {"step", 4}, {"digest", run.start}};
  const nlohmann::json record{{"format", "granule-run/1"}, {"start", start}, {"sessions", {session}}};
  write_text(directory / "run.json", record.dump());
  std::string rows;
  for (int step = 1; step <= run.done; ++step) rows += made_row(run, step);
  write_text(directory / "metrics.jsonl", rows);
}

}  // namespace granule::test
