// The trainer's evaluations: after the steps when they are due, interrupted by signals, and repeated on
// resume.
#include <cmath>

#include <nlohmann/json.hpp>

#include "apps/training/trainer.hpp"

namespace granule {
namespace {

/// Ends an evaluation early, on all ranks after the same micro-batch.
struct GivenUp {};

}  // namespace

bool Trainer::evaluation_due(std::int64_t step) const {
  if (!data_.validation || steps_.eval_every <= 0) return false;
  return step == steps_.total || step % steps_.eval_every == 0;
}

std::optional<Evaluation> Trainer::evaluate_between_signals(StopSignals& signals, SignalRequest& request) {
  signals.enter(StopSignals::Activity::evaluation, done_);
  const auto look_at_signals = [&](std::int64_t done, std::int64_t samples) {
    std::int64_t unused = 0;
    request = agree_on_request(signals, unused);
    if (request.save) save_on_request(signals);
    if (request.stop != 0 && done < samples) throw GivenUp{};
  };
  try {
    return evaluate(context_, model_, *data_.validation,
                    {.seq_len = config_.data.seq_len,
                     .micro_batch_size = config_.train.micro_batch_size,
                     .samples = config_.eval.batches * config_.train.batch_size,
                     .mask = DocumentMask{config_.data.document_mask},
                     .on_progress = look_at_signals,
                     .ranks = &ranks_,
                     .units = &sharded_.parameters()});
  } catch (const GivenUp&) {
    return std::nullopt;
  }
}

SignalRequest Trainer::make_up_evaluation(StopSignals& signals) {
  std::int64_t unused = 0;
  SignalRequest request = agree_on_request(signals, unused);
  if (row_to_evaluate_.empty()) return request;
  std::int64_t missing = directory_ != nullptr && !directory_->has_evaluation_of(done_) ? 1 : 0;
  ranks_.all_reduce(std::span(&missing, 1), ReduceOp::max, "missing evaluation").wait();
  std::optional<Evaluation> evaluation;
  if (missing != 0 && request.stop == 0 && data_.validation)
    evaluation = evaluate_between_signals(signals, request);
  if (missing != 0 && directory_ != nullptr) {
    auto row = nlohmann::ordered_json::parse(row_to_evaluate_);
    if (evaluation) add_evaluation(row, *evaluation);
    directory_->append_metrics(row);
  }
  if (evaluation) {
    tell(fmt::format("step {}/{}  {}", done_, steps_.total, evaluation_text(*evaluation)));
    warn_of_divergence(*evaluation);
  }
  if (evaluation || missing == 0) row_to_evaluate_.clear();
  return request;
}

void Trainer::warn_of_divergence(const Evaluation& evaluation) {
  if (std::isfinite(evaluation.ce)) return;
  tell(
      "warning: the validation loss is not finite: the run has diverged; start again from an earlier "
      "checkpoint with --init-from and a lower optim.lr");
}

}  // namespace granule
