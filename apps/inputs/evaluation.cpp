#include "apps/inputs/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "apps/inputs/run_data.hpp"

namespace granule {
namespace {

/// Reads the samples at positions [first, first + count).
Batch read_samples(const DataMix& data, MixSampler& sampler, std::int64_t first, std::int64_t count,
                   const EvaluationOptions& options) {
  Batch batch{.batch = count, .seq = options.seq_len};
  for (std::int64_t i = 0; i < count; ++i)
    append_sample(batch, data, batch.samples.emplace_back(sampler(first + i)), options.mask);
  return batch;
}

/// What the records say of all ranks' samples. `target_bytes` is the length of their text, if it is known.
Evaluation evaluation_of(const LossReport& losses, const RouterRecord& record, const StepTotals& totals,
                         const std::optional<double>& target_bytes) {
  Evaluation result{.samples = totals.sequences, .tokens = totals.target_tokens, .ce = losses.ce};
  if (!losses.aux_by_layer.empty()) result.aux = losses.aux();
  result.perplexity = std::exp(losses.ce);
  if (target_bytes && *target_bytes > 0.0) {
    result.bits_per_byte =
        losses.ce * static_cast<double>(totals.target_tokens) / (std::numbers::ln2 * *target_bytes);
  }
  result.counts.assign(record.counts().begin(), record.counts().end());
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    const auto dropped = record.dropped(i);
    result.dropped.insert(result.dropped.end(), dropped.begin(), dropped.end());
  }
  return result;
}

}  // namespace

Evaluation evaluate(Context& context, const Model& model, const DataMix& data,
                    const EvaluationOptions& options) {
  if (options.mask == DocumentMask::yes) data.require_documents();
  const std::int64_t there = data.samples_before_a_repeat(options.seq_len), size = options.micro_batch_size;
  const std::int64_t samples = options.samples > 0 ? std::min(options.samples, there) : there;
  const StepTotals totals{samples * options.seq_len, samples, (samples + size - 1) / size};
  RouterRecord record(context, model.moe_layers(), model.moe().n_routed_experts);
  LossRecord loss_record(context, model.moe(), model.moe_layers());
  MixSampler sampler = data.sampler(options.seq_len, SampleOrder::sequential, 0);
  const std::int64_t rank = options.ranks != nullptr ? options.ranks->rank() : 0;
  const std::int64_t ranks = options.ranks != nullptr ? options.ranks->size() : 1;
  for (std::int64_t round = 0; round < samples; round += ranks * size) {
    if (options.ranks != nullptr) options.ranks->ledger().begin_phase("evaluation");
    // A rank without samples still takes part in the computation, because it may hold experts that the others
    // need.
    const std::int64_t first = std::min(round + rank * size, samples);
    const Batch batch = read_samples(data, sampler, first, std::min(size, samples - first), options);
    evaluate_micro_batch(
        model, context, to_micro_batch(context, batch), totals,
        {.losses = batch.batch > 0 ? &loss_record : nullptr, .routing = &record, .units = options.units},
        {.capacity = options.capacity, .ablation = options.ablation, .choices = options.follower});
    if (options.follower != nullptr) options.follower->on_batch(batch);
    if (options.on_progress) options.on_progress(std::min(round + ranks * size, samples), samples);
  }
  record.start_reading();
  LossReport losses = loss_record.report();
  if (options.ranks != nullptr) {
    losses.add_ranks(*options.ranks);
    record.add_ranks(*options.ranks);
  }
  return evaluation_of(losses, record, totals, data.target_bytes(samples, options.seq_len));
}

}  // namespace granule
