// Compares documents that are packed into one row with a mask with the same documents in rows of their own.

#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

enum class Mask : bool { no, yes };

constexpr std::int64_t kFirst = 5, kSecond = kSmallSeq - kFirst;  // tokens of the two documents

/// One row of kSmallSeq tokens with two documents.
MicroBatch packed_batch(Context& context, const ModelConfig& config, Mask mask) {
  MicroBatch batch = small_batch(context, config, 0, 1);
  if (mask == Mask::no) return batch;
  std::vector<std::int32_t> first_keys(kSmallSeq, 0);
  std::fill(first_keys.begin() + kFirst, first_keys.end(), kFirst);
  batch.first_key_N = ids_of(context, {kSmallSeq}, first_keys);
  return batch;
}

/// The document that begins at `first`, as its own row.
MicroBatch document(Context& context, const ModelConfig& config, std::int64_t first, std::int64_t count) {
  const MicroBatch packed = packed_batch(context, config, Mask::no);
  return {packed.token_N.slice(first, {count}), packed.target_N.slice(first, {count}), 1, count};
}

std::vector<double> logits_of(const SmallModel& small, Context& context, const MicroBatch& batch) {
  const Pass pass{.context = context,
                  .batch = batch.batch,
                  .seq = batch.seq,
                  .position_N = make_positions(context, batch.batch, batch.seq),
                  .first_key_N = batch.first_key_N};
  const LanguageModel& network = small.model.network();
  const Var x = network.embed(pass, batch.token_N);
  const Var y = network.blocks(pass, x);
  return values_of(network.logits(pass, y).value);
}

MoeConfig without_balance_loss() {
  MoeConfig moe = small_moe_config();
  moe.aux_loss_alpha = 0.0;  // its unit is a row, and there are one or two here
  return moe;
}

struct Trained {
  LossReport report;
  std::vector<double> gradients;
};

Trained train(SmallModel& small, const std::vector<MicroBatch>& batches, Recompute recompute) {
  small.model.parameters().begin_step();
  LossRecord losses(small.context, small.model.moe(), small.model.moe_layers());
  const auto rows = std::ssize(batches);
  for (const MicroBatch& batch : batches) {
    train_micro_batch(small.model, batch, {kSmallSeq, rows, rows}, recompute, {.losses = &losses});
  }
  small.model.parameters().finish_gradients();
  return {losses.report(), small.gradients()};
}

Trained train_packed(DType dtype, int threads, Recompute recompute, Mask mask = Mask::yes) {
  SmallModel small(dtype, threads);
  return train(small, {packed_batch(small.context, small.model.config(), mask)}, recompute);
}

}  // namespace

TEST_CASE("document_mask: documents packed into a row with a mask have the logits of rows of their own") {
  // Positions are not reset. Rotary scores depend on distances, up to rounding.
  SmallModel small(DType::f64);
  const ModelConfig& config = small.model.config();
  const auto packed = logits_of(small, small.context, packed_batch(small.context, config, Mask::yes));
  auto apart = logits_of(small, small.context, document(small.context, config, 0, kFirst));
  const auto second = logits_of(small, small.context, document(small.context, config, kFirst, kSecond));
  apart.insert(apart.end(), second.begin(), second.end());
  CHECK(relative_difference(packed, apart) <= 1e-13);
  const auto open = logits_of(small, small.context, packed_batch(small.context, config, Mask::no));
  CHECK(relative_difference(open, apart) > 1e-3);
}

TEST_CASE(
    "document_mask: documents packed into a row with a mask have the loss and gradients of rows of their "
    "own") {
  SmallModel packed(DType::f64, 1, small_model_config(), without_balance_loss());
  SmallModel apart(DType::f64, 1, small_model_config(), without_balance_loss());
  const ModelConfig& config = packed.model.config();
  const Trained a = train(packed, {packed_batch(packed.context, config, Mask::yes)}, Recompute::none);
  const Trained b = train(
      apart, {document(apart.context, config, 0, kFirst), document(apart.context, config, kFirst, kSecond)},
      Recompute::none);
  CHECK(std::abs(a.report.ce - b.report.ce) <= 1e-13 * b.report.ce);
  CHECK(relative_difference(a.gradients, b.gradients) <= 1e-12);
  const Trained open = train_packed(DType::f64, 1, Recompute::none, Mask::no);
  CHECK(std::abs(open.report.ce - b.report.ce) > 1e-4);
}

TEST_CASE("document_mask: with a document mask, threads and recomputation change no bit") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Trained one = train_packed(dtype, 1, Recompute::none);
    for (const Trained& other :
         {train_packed(dtype, 3, Recompute::none), train_packed(dtype, 2, Recompute::full),
          train_packed(dtype, 2, Recompute::feed_forward)}) {
      CHECK(one.report.ce == other.report.ce);
      CHECK(one.gradients == other.gradients);
    }
  }
}
