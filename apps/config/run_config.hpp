// Everything that describes a run, in one struct for each table of the config file. docs/config.md describes
// every key. Keys of features that are not built yet are in apps/config/run_config_pending.cpp and have
// no member here.
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
#include "core/context.hpp"
#include "core/dtype.hpp"
#include "core/error.hpp"
#include "data/sampling/data_mix.hpp"
#include "distributed/communicators/parallel_layout.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"
#include "optim/schedule.hpp"

namespace granule {

struct ConfigEntry;     // apps/config/config_reader.hpp
struct CarrierOptions;  // distributed/communicators/device_carrier.hpp

struct RunConfig {
  struct Data {
    std::filesystem::path path{};  ///< absolute; empty if none is given
    std::int64_t seq_len = 0;      ///< never 0 once loaded; max_position_embeddings if the key is absent
    bool shuffle = true;
    std::int64_t seed = 0;
    bool document_mask = false;        ///< attention stays inside documents
    std::vector<DataMix::Part> mix{};  ///< several sources instead of path, with absolute paths

    /// The sources of training: the mix, or the path alone. Empty if neither is given.
    [[nodiscard]] std::vector<DataMix::Part> sources() const;
    friend bool operator==(const Data&, const Data&) = default;
  };
  struct Optim {  // AdamW
    double lr = 3e-4;
    std::array<double, 2> betas{0.9, 0.95};
    double eps = 1e-8;
    double weight_decay = 0.1;
    bool decay_norms = false;  ///< if true, norms and biases decay too
    double grad_clip = 1.0;    ///< the largest global gradient norm; 0 if off
    friend bool operator==(const Optim&, const Optim&) = default;
  };
  struct Schedule {  // a ScheduleConfig whose lengths are still periods
    ScheduleKind kind = ScheduleKind::warmup_step_decay;
    Period warmup;
    std::vector<Period> decay_at{};  ///< once loaded, empty only for cosine and constant
    double decay_by = 0.316;
    double min_lr = 0.0;
    friend bool operator==(const Schedule&, const Schedule&) = default;
  };
  struct Train {
    Period steps{Period::Unit::steps, 1000};
    std::int64_t batch_size = 16;       ///< sequences in a step, over all ranks
    std::int64_t micro_batch_size = 1;  ///< sequences
    std::int64_t seed = 0;
    Recompute recompute = Recompute::none;
    DType dtype = DType::f32;
    DeviceType device = DeviceType::cpu;
    std::int64_t threads = 0;    ///< of one rank; 0 means cores / ranks on this host
    std::int64_t max_skips = 5;  ///< so many skipped steps in a row end the run
    double spike_sigma = 0.0;    ///< a step so many standard deviations above the mean is skipped; 0 is off
    /// Whether every rank gets as many whole micro-batches of a step.
    [[nodiscard]] bool divides_over(std::int64_t ranks) const {
      return batch_size % (micro_batch_size * ranks) == 0;
    }
    friend bool operator==(const Train&, const Train&) = default;
  };
  struct Parallel : ParallelLayout {
    /// This many seconds without progress end the job. If 0, the length of a step decides.
    std::int64_t watchdog_seconds = 0;
    /// Sums over ranks run in rank order on a GPU too. On the CPU they always do.
    bool deterministic = false;
    friend bool operator==(const Parallel&, const Parallel&) = default;
  };
  struct Checkpoint {
    Period every{Period::Unit::steps, 500};  ///< zero means only at the end
    std::int64_t keep = 3;                   ///< how many of the newest are kept; 0 means all
    friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
  };
  struct Eval {
    Period every;               ///< zero means never
    std::int64_t batches = 20;  ///< of batch_size sequences of the validation split; 0 means the whole split
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

/// Something that a base says and that cannot be read. It does not matter if the user gives `key` another
/// value.
struct ConfigFault {
  std::string key;  ///< "model.rope_scaling"; empty if no key corrects it
  Error error;
};

/// A layer of values under those of the user: a Hugging Face config.json, or the config of a saved model. The
/// values above it must not change the shape of a parameter.
struct ConfigBase {
  RunConfig config;
  std::string name;  ///< the source of the values, for messages
  std::vector<ConfigFault> faults{};
};

/// Throws a user error if the base describes no model by itself.
void require_model(const ConfigBase& base);

struct ConfigOptions {
  std::int64_t ranks = 0;
  std::optional<ConfigBase> base{};
};

/// Reads a config file and key=value overrides, fills in what follows from other keys, and checks the result.
/// A value that an override replaces is not checked. Throws user errors that name file:line or the override.
/// model.vocab_size stays 0 if the data shall give it.
[[nodiscard]] RunConfig load_run_config(const std::filesystem::path& file,
                                        std::span<const std::string> overrides,
                                        const ConfigOptions& options = {});
/// The same without a file, on top of options.base.
[[nodiscard]] RunConfig override_run_config(std::span<const std::string> overrides,
                                            const ConfigOptions& options);

/// The same of entries that are already read. A later entry replaces an earlier one of the same key. `source`
/// is the place that errors name if no entry sets a key.
[[nodiscard]] RunConfig run_config_of(std::vector<ConfigEntry> entries, const std::string& source,
                                      const ConfigOptions& options = {});

/// The number of threads of this rank. It is train.threads, or else this rank's share of the cores that it
/// may use together with `sharers` ranks.
[[nodiscard]] int thread_count(const RunConfig& config, std::int64_t sharers = 1);

/// A Context of this many threads on the device of the config. A host may have several, which are numbered.
[[nodiscard]] ContextOptions context_options(const RunConfig& config, int threads, int number = 0);

/// How tensors on the device of the config travel between ranks.
[[nodiscard]] CarrierOptions carrier_options(const RunConfig& config);

/// Every key with its value as a TOML document that loads to the same config.
[[nodiscard]] std::string to_toml(const RunConfig& config);
/// {"model": {"hidden_size": …}, …}
[[nodiscard]] nlohmann::json to_json(const RunConfig& config);
/// Reads what to_json wrote; absent keys get their defaults. `where` names the file in the user error.
[[nodiscard]] RunConfig run_config_from_json(const nlohmann::json& document, std::string_view where);

/// Throws a user error for the first key that differs and may not differ on resume. docs/config.md marks the
/// keys that may. The caller must check whether other paths have the same data. Micro-batches may change if
/// the objective does not depend on them. A vocabulary that the data give is not compared.
void check_resumable(const RunConfig& saved, const RunConfig& now, std::string_view checkpoint);

/// Every period of a run in steps.
struct RunSteps {
  std::int64_t total = 0;
  ScheduleConfig schedule;
  std::int64_t checkpoint_every = 0;  ///< 0 means only at the end
  std::int64_t eval_every = 0;        ///< 0 means never
  std::int64_t log_every = 1;
};
/// If samples_per_epoch is 0, no data are known, and periods in epochs are a user error.
[[nodiscard]] RunSteps resolve_steps(const RunConfig& config, std::int64_t samples_per_epoch);

}  // namespace granule
