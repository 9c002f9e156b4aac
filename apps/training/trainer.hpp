// The training loop: steps, evaluations, checkpoints and records.
#pragma once
#include <chrono>

#include "apps/inputs/run_data.hpp"
#include "apps/records/pace.hpp"
#include "apps/records/run_directory.hpp"
#include "apps/records/step_means.hpp"
#include "apps/records/step_report.hpp"
#include "apps/runs/fork_source.hpp"
#include "apps/training/stop_signals.hpp"
#include "data/sampling/loader.hpp"
#include "distributed/checkpoints/checkpoint.hpp"
#include "distributed/checkpoints/checkpoint_writer.hpp"
#include "distributed/watchdog.hpp"
#include "moe/training/train_step.hpp"

namespace granule {

class Trainer {
 public:
  /// `config` is final: vocab_size is set, and data and shapes agree. The caller or resume() sets the model's
  /// values. Only rank 0 has a `directory`. `peak_flops` is the peak of all ranks, for the reported
  /// utilisation, or 0 if unknown. `job` names ranks and threads for the log.
  Trainer(Context& context, ShardedModel& sharded, const RunConfig& config, const RunData& data,
          RunDirectory* directory, double peak_flops, std::string job);

  /// Restores weights, optimizer and position. Throws a user error if the checkpoint is of another run.
  void resume(const Checkpoint& checkpoint);
  /// The same for another run's checkpoint. Its config may differ in everything that keeps the shapes. If the
  /// data or their order of reading differ, they are read from their beginning.
  void fork(const Checkpoint& source);
  /// What checkpoints say about the history of the run. Only rank 0 calls it.
  void set_provenance(nlohmann::json record) { provenance_ = std::move(record); }
  /// Whether the last step is done. It is true from the start if the run resumed from the last checkpoint.
  [[nodiscard]] bool complete() const { return done_ >= steps_.total; }
  [[nodiscard]] std::int64_t done() const { return done_; }
  /// The step of the newest checkpoint, or -1 if there is none.
  [[nodiscard]] std::int64_t saved() const { return saved_; }
  [[nodiscard]] std::int64_t total() const { return steps_.total; }
  /// The cross-entropy of the last step that this object computed.
  [[nodiscard]] std::optional<double> last_ce() const { return last_ce_; }
  /// Trains until the last step or a signal, and saves. Returns the signal for which all ranks stopped, or 0.
  /// The last checkpoint is that of the last step done. If train.max_skips steps in a row had to be skipped,
  /// it throws exit code 77 without saving. The watchdog is told how long steps take.
  int run(StopSignals& signals, Watchdog& watchdog);

 private:
  [[nodiscard]] StepReport step(std::int64_t n);
  /// The same, but if memory runs out, the log says first for what it was used.
  [[nodiscard]] StepReport step_or_tell_memory(std::int64_t n);
  [[nodiscard]] MicroBatch next_micro_batch();
  void finish_report(StepReport& report, std::chrono::steady_clock::time_point start);
  /// Does a step and records it. Then come the save and the evaluation that are due after it, in this order.
  /// Returns what signals ask for after that.
  [[nodiscard]] SignalRequest advance(StopSignals& signals, Watchdog& watchdog);
  /// The row of metrics.jsonl for a step, without its evaluation. Null if the step gets no row.
  [[nodiscard]] nlohmann::ordered_json row_of(const StepReport& report);
  void record(const StepReport& report, nlohmann::ordered_json row);
  void open_records();
  [[nodiscard]] std::string start_text() const;
  /// What all ranks agree to do after one of them was asked to. Each also learns the largest `peak_bytes`.
  [[nodiscard]] SignalRequest agree_on_request(StopSignals& signals, std::int64_t& peak_bytes);
  void save();
  void save_on_request(StopSignals& signals);

  // These are in trainer_evaluation.cpp.
  [[nodiscard]] bool evaluation_due(std::int64_t step) const;
  /// Absent if a signal stops the run meanwhile. A signal that asks for a save gets it between two
  /// micro-batches. `request` becomes what signals ask for at the end.
  [[nodiscard]] std::optional<Evaluation> evaluate_between_signals(StopSignals& signals,
                                                                   SignalRequest& request);
  /// Does the evaluation of the last saved step on resume, if the previous job ended before it.
  [[nodiscard]] SignalRequest make_up_evaluation(StopSignals& signals);
  void warn_of_divergence(const Evaluation& evaluation);
  void tell(const std::string& line);
  void tell_memory();
  void tell_choices_of_device();
  [[noreturn]] void give_up(const StepReport& last) const;
  [[nodiscard]] nlohmann::json sections() const;

  // These are in trainer_state.cpp.
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
  TrainStep step_;
  std::vector<GlobalTensor> tensors_;            // the content of a checkpoint
  std::optional<CheckpointWriter> checkpoints_;  // only on rank 0
  std::unique_ptr<Loader> loader_;
  RunPosition begun_;  // where the run's first step is, also in its data
  StepMeans means_;    // since the last row of metrics.jsonl
  Pace pace_;
  std::optional<double> last_ce_;
  nlohmann::json provenance_;
  std::vector<std::string> notes_;  // messages before the first step
  std::int64_t done_ = 0;           // steps
  std::int64_t saved_ = -1;         // step of the newest checkpoint
  std::string row_to_evaluate_;     // that of the last step, while its evaluation is still due
};

}  // namespace granule
