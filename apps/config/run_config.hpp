// Everything that describes a run: one struct a table of the config file. docs/config.md describes every key.
// Keys of features that are not built yet stand in apps/config/keys/run_config_pending.cpp and have no member
// here.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/period.hpp"
#include "core/device.hpp"
#include "core/dtype.hpp"
#include "core/error.hpp"
#include "data/sampling/data_mix.hpp"
#include "distributed/zero/parallel_layout.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"
#include "optim/schedule.hpp"

namespace granule {

struct RunConfig {
  struct Data {
    std::filesystem::path path{};  ///< absolute; empty: none given
    std::int64_t seq_len = 0;      ///< once loaded never 0: max_position_embeddings when absent
    bool shuffle = true;
    std::int64_t seed = 0;
    bool document_mask = false;        ///< attention stays inside documents
    std::vector<DataMix::Part> mix{};  ///< instead of path: several sources, with absolute paths

    /// What is trained on: the mix, or the path alone; empty where neither is given.
    [[nodiscard]] std::vector<DataMix::Part> sources() const;
    friend bool operator==(const Data&, const Data&) = default;
  };
  struct Optim {  // AdamW
    double lr = 3e-4;
    std::array<double, 2> betas{0.9, 0.95};
    double eps = 1e-8;
    double weight_decay = 0.1;
    bool decay_norms = false;  ///< true: norms and biases decay too
    double grad_clip = 1.0;    ///< largest global gradient norm; 0: off
    friend bool operator==(const Optim&, const Optim&) = default;
  };
  struct Schedule {  // a ScheduleConfig whose lengths are still periods
    ScheduleKind kind = ScheduleKind::warmup_step_decay;
    Period warmup;
    std::vector<Period> decay_at{};  ///< once loaded: empty for cosine and constant only
    double decay_by = 0.316;
    double min_lr = 0.0;
    friend bool operator==(const Schedule&, const Schedule&) = default;
  };
  struct Train {
    Period steps{Period::Unit::steps, 1000};
    std::int64_t batch_size = 16;       ///< sequences a step, over all ranks
    std::int64_t micro_batch_size = 1;  ///< sequences
    std::int64_t seed = 0;
    Recompute recompute = Recompute::none;
    DType dtype = DType::f32;
    DeviceType device = DeviceType::cpu;
    std::int64_t threads = 0;    ///< of one rank; 0: cores / ranks on this host
    std::int64_t max_skips = 5;  ///< in a row, that end the run
    double spike_sigma = 0.0;    ///< deviations above the mean at which a step is skipped; 0: off
    friend bool operator==(const Train&, const Train&) = default;
  };
  struct Parallel {
    std::int64_t ep = 1;                ///< ranks that share out the experts of a layer
    std::int64_t zero = 0;              ///< ZeRO stage, 0 to 3
    std::int64_t receive_limit = 0;     ///< rows of tokens that a rank receives at once; 0: all
    std::int64_t watchdog_seconds = 0;  ///< without progress, that end the job; 0: by the length of a step
    friend bool operator==(const Parallel&, const Parallel&) = default;
  };
  struct Checkpoint {
    Period every{Period::Unit::steps, 500};  ///< zero: only at the end
    std::int64_t keep = 3;                   ///< newest ones; 0: all
    friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
  };
  struct Eval {
    Period every;               ///< zero: never
    std::int64_t batches = 20;  ///< of batch_size sequences of the validation split; 0: the whole split
    friend bool operator==(const Eval&, const Eval&) = default;
  };
  struct Log {
    Period every{Period::Unit::steps, 1};
    bool tensorboard = false;
    bool profile = false;
    friend bool operator==(const Log&, const Log&) = default;
  };

  ModelConfig model;
  MoeConfig moe;
  Data data;
  Optim optim;
  Schedule schedule;
  Train train;
  Parallel parallel;
  Checkpoint checkpoint;
  Eval eval;
  Log log;
  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

/// Something that a base says and that cannot be read, unless the user gives `key` another value.
struct ConfigFault {
  std::string key;  ///< "model.rope_scaling"; empty: no key mends it
  Error error;
};

/// A layer of values under the user's: a Hugging Face config.json, or the config of a saved model. Nothing
/// above it may change the shape of a parameter.
struct ConfigBase {
  RunConfig config;
  std::string name;  ///< where it comes from, for messages
  std::vector<ConfigFault> faults{};
};

/// Throws the user error of a base that describes no model by itself.
void require_model(const ConfigBase& base);

struct ConfigOptions {
  std::int64_t ranks = 0;
  std::optional<ConfigBase> base{};
};

/// Reads a config file and key=value overrides, fills in what follows from other keys, and checks the values
/// that result: one that an override replaces is not judged. Throws user errors that name file:line or the
/// override. model.vocab_size stays 0 where the data shall say
/// it.
[[nodiscard]] RunConfig load_run_config(const std::filesystem::path& file,
                                        std::span<const std::string> overrides,
                                        const ConfigOptions& options = {});
/// The same without a file, on top of options.base.
[[nodiscard]] RunConfig override_run_config(std::span<const std::string> overrides,
                                            const ConfigOptions& options);

/// Threads of this rank: train.threads, or its share of the cores that it may use with `sharers` ranks.
[[nodiscard]] int thread_count(const RunConfig& config, std::int64_t sharers = 1);

/// How ranks share a model of this config.
[[nodiscard]] ParallelLayout layout_of(const RunConfig& config);

/// Every key with its value as a TOML document that loads to the same config.
[[nodiscard]] std::string to_toml(const RunConfig& config);
/// {"model": {"hidden_size": …}, …}
[[nodiscard]] nlohmann::json to_json(const RunConfig& config);
/// Reads what to_json wrote; absent keys get their defaults. `where` names the file in the user error.
[[nodiscard]] RunConfig run_config_from_json(const nlohmann::json& document, std::string_view where);

/// Throws a user error for the first key that differs and may not on resume: docs/config.md marks those that
/// may. Whether other paths hold the same data is for the caller to see; micro-batches may change where the
/// objective does not count in them. A vocabulary left to the data is not compared.
void check_resumable(const RunConfig& saved, const RunConfig& now, std::string_view checkpoint);

/// Every period of a run in steps.
struct RunSteps {
  std::int64_t total = 0;
  ScheduleConfig schedule;
  std::int64_t checkpoint_every = 0;  ///< 0: only at the end
  std::int64_t eval_every = 0;        ///< 0: never
  std::int64_t log_every = 1;
};
/// samples_per_epoch 0: no data is known, and periods in epochs are a user error.
[[nodiscard]] RunSteps resolve_steps(const RunConfig& config, std::int64_t samples_per_epoch);

}  // namespace granule
