// Rotary positions beyond max_position_embeddings: the formulas, and that a model uses them.
#include <numeric>

#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kPositions = 16;

ModelConfig config_with(RopeScaling scaling, double theta = 10000.0) {
  ModelConfig config = small_model_config();  // heads of 6 columns
  config.max_position_embeddings = kPositions;
  config.rope_scaling = scaling;
  config.rope_theta = theta;
  return config;
}

/// The logits of `length` tokens at positions 0, stride, 2 stride, ….
std::vector<double> logits_of(SmallModel& small, std::int64_t length, std::int64_t stride = 1,
                              std::int64_t rope_length = 0) {
  std::vector<std::int32_t> tokens, positions;
  for (std::int64_t i = 0; i < length; ++i) {
    tokens.push_back(static_cast<std::int32_t>(i * 7 % small.model.config().vocab_size));
    positions.push_back(static_cast<std::int32_t>(i * stride));
  }
  const Pass pass{.context = small.context,
                  .batch = 1,
                  .seq = length,
                  .position_N = ids_of(small.context, {length}, positions),
                  .rope_length = rope_length};
  const LanguageModel& network = small.model.network();
  const Var x = network.embed(pass, ids_of(small.context, {length}, tokens));
  const Var y = network.blocks(pass, x);
  return values_of(network.logits(pass, y).value);
}

constexpr RopeScaling kLinear{RopeScaling::Type::linear, 2.0};
constexpr RopeScaling kDynamic{RopeScaling::Type::dynamic, 3.0};

}  // namespace

TEST_CASE("rope_scaling: the theta of dynamic scaling, by hand") {
  ModelConfig config;
  config.hidden_size = 16;
  config.num_attention_heads = 4;  // heads of 4 columns, so the exponent is 4 / 2
  config.max_position_embeddings = 8;
  config.rope_scaling = {RopeScaling::Type::dynamic, 2.0};
  CHECK(config.rope_theta_at(1) == 10000.0);
  CHECK(config.rope_theta_at(8) == 10000.0);
  CHECK(config.rope_theta_at(16) == Approx(10000.0 * 9).epsilon(1e-15));      // (2 · 16/8 − 1)² = 9
  CHECK(config.rope_theta_at(12) == Approx(10000.0 * 4).epsilon(1e-15));      // (2 · 12/8 − 1)² = 4
  CHECK(config.rope_theta_at(9) == Approx(10000.0 * 1.5625).epsilon(1e-15));  // (2 · 9/8 − 1)² = 25/16
  config.rope_scaling = {RopeScaling::Type::linear, 2.0};
  CHECK(config.rope_theta_at(16) == 10000.0);
}

TEST_CASE("rope_scaling: scaling multiplies the longest sequence by its factor") {
  CHECK(config_with({}).positions() == 16);
  CHECK(config_with(kLinear).positions() == 32);
  CHECK(config_with({RopeScaling::Type::dynamic, 2.5}).positions() == 40);
}

TEST_CASE("rope_scaling: linear scaling: positions of a model count as their fraction") {
  SmallModel plain(DType::f64, 1, config_with({})), scaled(DType::f64, 1, config_with(kLinear));
  CHECK(logits_of(scaled, 16, 2) == logits_of(plain, 16));
  CHECK(logits_of(scaled, 16) != logits_of(plain, 16));
  CHECK_NOTHROW(logits_of(scaled, 32));
  CHECK_THROWS_WITH(logits_of(scaled, 33), Catch::Contains("position 32"));
}

TEST_CASE(
    "rope_scaling: dynamic scaling: a model has the theta of its sequence's length, whatever it saw before") {
  SmallModel scaled(DType::f64, 1, config_with(kDynamic)), plain(DType::f64, 1, config_with({}));
  const auto at = [](std::int64_t length) {  // ((3 · length / 16) − 2)^(6 / 4), from the formula
    return 10000.0 * std::pow(3.0 * static_cast<double>(length) / 16.0 - 2.0, 1.5);
  };
  const auto expected = [&](std::int64_t length) {
    ModelConfig config = config_with({}, at(length));
    config.max_position_embeddings = 64;
    SmallModel model(DType::f64, 1, config);
    return logits_of(model, length);
  };
  for (const std::int64_t length : {48, 17, 30, 48}) {
    CAPTURE(length);
    CHECK(relative_difference(logits_of(scaled, length), expected(length)) <= 1e-13);
  }
  CHECK(logits_of(scaled, 16) == logits_of(plain, 16));
  CHECK(logits_of(scaled, 16, 1, 30) != logits_of(plain, 16));  // it is part of a longer text
  CHECK_THROWS_WITH(logits_of(scaled, 49), Catch::Contains("49 tokens, it has 48 positions"));
}

TEST_CASE("rope_scaling: training under dynamic scaling is recomputed with the table of its own length") {
  const auto gradients = [](Recompute recompute) {
    ModelConfig config = config_with(kDynamic);
    config.max_position_embeddings = 5;  // rows of kSmallSeq = 12 tokens are longer
    SmallModel small(DType::f64, 2, config);
    const LossReport report = small.run(4, 2, recompute);
    CHECK(std::isfinite(report.ce));
    return small.gradients();
  };
  CHECK(gradients(Recompute::none) == gradients(Recompute::full));
}
