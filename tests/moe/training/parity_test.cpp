// Several ranks compute the same as one rank. Every layout of up to 8 ranks is compared with one rank.

#include "tests/support/catch.hpp"
#include "tests/support/sharded_run.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

std::string text_of(const ShardedRunOptions& options) {
  return fmt::format("{} ranks, ep {}, ZeRO {}", options.ranks, options.layout.ep, options.layout.zero);
}

/// Every ep that divides the ranks, with every stage.
std::vector<ShardedRunOptions> layouts_of(int ranks) {
  std::vector<ShardedRunOptions> all;
  for (std::int64_t ep = 1; ep <= ranks; ep *= 2) {
    for (const std::int64_t zero : {0, 1, 2, 3})
      all.push_back({.ranks = ranks, .layout = {.ep = ep, .zero = zero}, .steps = 20});
  }
  return all;
}

const ShardedOutcome& one_rank(DType dtype) {
  static const ShardedOutcome wide = sharded_run({.dtype = DType::f64, .steps = 20});
  static const ShardedOutcome narrow = sharded_run({.dtype = DType::f32, .steps = 20});
  return dtype == DType::f64 ? wide : narrow;
}

/// Sums run in another order. That gives some rounding errors of 1e-16 each, which grow over 20 steps of
/// AdamW. A wrong mean, an expert counted twice or a loss of local counts shows at 1e-6 and above.
void check_f64(ShardedRunOptions options) {
  INFO(text_of(options));
  const ShardedOutcome& alone = one_rank(DType::f64);
  const ShardedOutcome together = sharded_run(options);
  CHECK(together.counts == alone.counts);
  CHECK(largest_relative(together.ce, alone.ce) <= 1e-12);
  CHECK(largest_relative(together.aux, alone.aux) <= 1e-12);
  CHECK(largest_relative(together.device_aux, alone.device_aux) <= 1e-12);
  CHECK(largest_relative(together.grad_norm, alone.grad_norm) <= 1e-11);
  REQUIRE(together.tensors.size() == alone.tensors.size());
  for (const auto& [name, values] : alone.tensors) {
    INFO(name);
    CHECK(relative_difference(together.tensors.at(name), values) <= 1e-10);
  }
}

/// The first step differs only by the order of sums. Later steps differ by what AdamW makes of that.
void check_f32(ShardedRunOptions options) {
  INFO(text_of(options));
  options.dtype = DType::f32;
  const ShardedOutcome& alone = one_rank(DType::f32);
  const ShardedOutcome together = sharded_run(options);
  CHECK(together.counts == alone.counts);  // if a choice had changed, no tolerance would mean anything
  CHECK(largest_relative({together.ce[0]}, {alone.ce[0]}) <= 1e-6);
  CHECK(largest_relative(together.ce, alone.ce) <= 3e-6);
}

/// Until the first step, every rank has the same values in bf16, and forward rounds each token alone. So the
/// first loss differs by its sum only. Gradients of weights are sums in f32. A weight that then rounds the
/// other way is 4e-3 of itself away, and may change a choice.
void check_bf16(ShardedRunOptions options) {
  INFO(text_of(options));
  options.dtype = DType::bf16;
  options.steps = 5;
  static const ShardedOutcome alone = sharded_run({.dtype = DType::bf16, .steps = 5});
  const ShardedOutcome together = sharded_run(options);
  CHECK(together.counts[0] == alone.counts[0]);
  CHECK(largest_relative({together.ce[0]}, {alone.ce[0]}) <= 1e-6);
  CHECK(largest_relative({together.grad_norm[0]}, {alone.grad_norm[0]}) <= 2e-5);
  CHECK(largest_relative(together.ce, alone.ce) <= 1e-2);
}

}  // namespace

TEST_CASE("parity: one rank in every ZeRO stage, f64") {
  for (const ShardedRunOptions& options : layouts_of(1)) check_f64(options);
}

TEST_CASE("parity: one rank in every ZeRO stage, f32") {
  for (const ShardedRunOptions& options : layouts_of(1)) check_f32(options);
}

TEST_CASE("parity: 2 thread ranks in every layout, f64") {
  for (const ShardedRunOptions& options : layouts_of(2)) check_f64(options);
}

TEST_CASE("parity: 2 thread ranks in every layout, f32") {
  for (const ShardedRunOptions& options : layouts_of(2)) check_f32(options);
}

TEST_CASE("parity: 2 thread ranks in every layout, bf16") {
  for (const ShardedRunOptions& options : layouts_of(2)) check_bf16(options);
}

TEST_CASE("parity: 4 thread ranks in every layout, f64") {
  for (const ShardedRunOptions& options : layouts_of(4)) check_f64(options);
}

TEST_CASE("parity: 4 thread ranks in every layout, f32") {
  for (const ShardedRunOptions& options : layouts_of(4)) check_f32(options);
}

TEST_CASE("parity: 8 thread ranks in every layout, f64") {
  for (const ShardedRunOptions& options : layouts_of(8)) check_f64(options);
}

TEST_CASE("parity: 8 thread ranks in every layout, f32") {
  for (const ShardedRunOptions& options : layouts_of(8)) check_f32(options);
}

TEST_CASE("thread ranks: stages of one micro-batch a rank, and the same layout twice, have the same bits") {
  for (const DType dtype : {DType::f64, DType::bf16}) {
    for (const std::int64_t ep : {1, 2}) {
      const auto run = [&](std::int64_t zero) {
        const ShardedOutcome outcome =
            sharded_run({.ranks = 4, .layout = {.ep = ep, .zero = zero}, .dtype = dtype, .sequences = 8});
        return std::tuple(outcome.ce, outcome.grad_norm, outcome.tensors);
      };
      const auto whole = run(0);
      CHECK(run(0) == whole);
      for (const std::int64_t zero : {1, 2, 3}) CHECK(run(zero) == whole);
    }
  }
}

TEST_CASE("thread ranks: recomputation changes no bit where values are gathered around it") {
  for (const DType dtype : {DType::f64, DType::bf16}) {
    const auto run = [&](Recompute recompute) {
      const ShardedOutcome outcome =
          sharded_run({.ranks = 2, .layout = {.ep = 2, .zero = 3}, .dtype = dtype, .recompute = recompute});
      return std::tuple(outcome.ce, outcome.grad_norm, outcome.tensors);
    };
    const auto plain = run(Recompute::none);
    CHECK(run(Recompute::full) == plain);
    CHECK(run(Recompute::feed_forward) == plain);
  }
}
