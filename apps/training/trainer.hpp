// The main job: steps, evaluations, checkpoints, records.
#pragma once
#include <chrono>

#include "apps/runs/fork_source.hpp"
#include "apps/runs/pace.hpp"
#include "apps/runs/step_means.hpp"
#include "apps/training/run_data.hpp"
#include "apps/training/run_directory.hpp"
#include "apps/training/step_report.hpp"
#include "apps/training/stop_signals.hpp"
#include "data/sampling/loader.hpp"
#include "distributed/checkpoint.hpp"
#include "distributed/checkpoint_writer.hpp"
#include "distributed/watchdog.hpp"
#include "distributed/zero/sharded_optimizer.hpp"
#include "moe/sharded_model.hpp"
#include "optim/step_guard.hpp"

namespace granule {

class Trainer {
 public:
  /// `config` is final: vocab_size is set, data and shapes agree. The model's values are set by the caller or
  /// by resume(). `directory`: rank 0's; other ranks have none. `peak_flops`: of all ranks, for the
  /// utilisation reported; 0: unknown. `job`: ranks and threads, for the log.
  Trainer(Context& context, ShardedModel& sharded, const RunConfig& config, const RunData& data,
          RunDirectory* directory, double peak_flops, std::string job);

  /// Takes up weights, optimizer and position. Throws a user error when the checkpoint is of another run.
  void resume(const Checkpoint& checkpoint);
  /// The same of another run's checkpoint, whose config may differ in all that keeps the shapes. Where the
  /// data, or the order in which they are read, are others, they are read from their beginning.
  void fork(const Checkpoint& source);
  /// What checkpoints say of where the run comes from. Rank 0's.
  void set_provenance(nlohmann::json record) { provenance_ = std::move(record); }
  /// Whether the last step is done: from the start when the checkpoint resumed from was it.
  [[nodiscard]] bool complete() const { return done_ >= steps_.total; }
  [[nodiscard]] std::int64_t done() const { return done_; }
  [[nodiscard]] std::int64_t total() const { return steps_.total; }
  /// Cross-entropy of the last step that this object took.
  [[nodiscard]] std::optional<double> last_ce() const { return last_ce_; }
  /// Trains to the last step or a signal, saves, and returns the signal that all ranks stopped for; 0: none.
  /// The last checkpoint is of the last step done. Throws exit code 77, without saving, when train.max_skips
  /// steps in a row had to be skipped. The watchdog hears how long steps take.
  int run(StopSignals& signals, Watchdog& watchdog);

 private:
  [[nodiscard]] StepReport step(std::int64_t n);
  [[nodiscard]] MicroBatch next_micro_batch();
  /// Takes the step, unless its loss or gradient says that it must be skipped: then nothing changes.
  void update_parameters(StepReport& report);
  void finish_report(StepReport& report, std::chrono::steady_clock::time_point start);
  /// A step with its records, and the save and the evaluation that are due after it, in this order. Returns
  /// what signals ask for then.
  [[nodiscard]] SignalRequest advance(StopSignals& signals, Watchdog& watchdog);
  /// What metrics.jsonl says of a step, but for its evaluation; null where it says nothing.
  [[nodiscard]] nlohmann::ordered_json row_of(const StepReport& report);
  void record(const StepReport& report, nlohmann::ordered_json row);
  void open_records();
  [[nodiscard]] std::string start_text() const;
  /// What the ranks agree to do, one of them having been asked to; each learns the largest `peak_bytes`.
  [[nodiscard]] SignalRequest agree_on_request(StopSignals& signals, std::int64_t& peak_bytes);
  void save();
  void save_on_request(StopSignals& signals);

  // trainer_evaluation.cpp
  [[nodiscard]] bool evaluation_due(std::int64_t step) const;
  /// Nothing when a signal stops the run meanwhile; one that asks for a save has it between two
  /// micro-batches. `request` becomes what signals ask for at the end.
  [[nodiscard]] std::optional<Evaluation> evaluate_between_signals(StopSignals& signals,
                                                                   SignalRequest& request);
  /// The evaluation that a job did not come to after it had saved the last step: made up for on resume.
  [[nodiscard]] SignalRequest make_up_evaluation(StopSignals& signals);
  void warn_of_divergence(const Evaluation& evaluation);
  void tell(const std::string& line);
  [[noreturn]] void give_up(const StepReport& last) const;
  [[nodiscard]] nlohmann::json sections() const;

  // trainer_state.cpp
  void load_state(const Checkpoint& checkpoint);
  void add_records_to(nlohmann::json& sections) const;
  void take_records_from(const nlohmann::json& sections);
  void note_learning_rate(const RunConfig& before);
  [[nodiscard]] std::int64_t samples_after(std::int64_t step) const;
  [[nodiscard]] std::int64_t tokens_after(std::int64_t step) const;

  Context& context_;
  ShardedModel& sharded_;
  Model& model_;
  Communicator& ranks_;
  const RunConfig& config_;
  RunSteps steps_;
  const RunData& data_;
  RunDirectory* directory_;
  double peak_flops_;
  std::string job_;
  SampleOrder order_;
  StepTotals totals_;  // over all ranks
  ShardedOptimizer optimizer_;
  StepGuard guard_;
  RouterRecord router_;
  std::vector<GlobalTensor> tensors_;            // what a checkpoint holds
  std::optional<CheckpointWriter> checkpoints_;  // rank 0's
  std::unique_ptr<Loader> loader_;
  RunPosition begun_;  // where the run's first step is, in its data too
  StepMeans means_;    // since the last row of metrics.jsonl
  Pace pace_;
  std::optional<double> last_ce_;
  nlohmann::json provenance_;
  std::vector<std::string> notes_;  // to be said before the first step
  std::int64_t done_ = 0;           // steps
  std::int64_t saved_ = -1;         // step of the newest checkpoint
  std::string row_to_evaluate_;     // of the last step in metrics.jsonl, where its evaluation is still due
};

}  // namespace granule
