#include "optim/adamw.hpp"

#include <cmath>

#include "optim/grad_norm.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// The formula in scalars, over all gradients that one element had.
double reference(double w, const std::vector<double>& gradients, double lr, const AdamWConfig& c,
                 bool decays) {
  double m = 0.0, v = 0.0;
  for (std::size_t t = 1; t <= gradients.size(); ++t) {
    const double g = gradients[t - 1];
    if (decays) w *= 1.0 - lr * c.weight_decay;
    m = c.beta1 * m + (1.0 - c.beta1) * g;
    v = c.beta2 * v + (1.0 - c.beta2) * g * g;
    const double m_hat = m / (1.0 - std::pow(c.beta1, double(t))),
                 v_hat = v / (1.0 - std::pow(c.beta2, double(t)));
    w -= lr * m_hat / (std::sqrt(v_hat) + c.eps);
  }
  return w;
}

}  // namespace

TEST_CASE("AdamW follows its formula, decaying only the ranges that decay, for any number of threads") {
  const AdamWConfig config{.eps = 1e-3};  // large enough to show if it were left out
  const std::int64_t n = 200'003, border = 70'001;
  for (const int threads : {1, 2, 3}) {
    TestContext context({.threads = threads});
    AdamW optimizer(context, config, DType::f64, n, {{0, border, Decay::yes}, {border, n, Decay::no}});
    const auto start = normal_values(n, 1), g1 = normal_values(n, 2), g2 = normal_values(n, 3);
    const Tensor w = tensor_of(context, {n}, DType::f64, start);
    optimizer.step(w, tensor_of(context, {n}, DType::f64, g1), 0.01, 1.0);
    optimizer.step(w, tensor_of(context, {n}, DType::f64, g2), 0.01, 0.5);
    const Numbers updated = values_of(w);
    double worst = 0.0;
    for (const std::int64_t i : {std::int64_t{0}, border - 1, border, n / 2, n - 1}) {
      const auto at = static_cast<std::size_t>(i);
      const double expected = reference(start[at], {g1[at], 0.5 * g2[at]}, 0.01, config, i < border);
      worst = std::max(worst, std::abs(updated[at] - expected));
    }
    CHECK(worst < 1e-14);  // a few roundings of numbers near 1
    CHECK(optimizer.steps() == 2);
  }
}

TEST_CASE("adamw: a parameter without gradient still decays and its moments fade") {
  TestContext context;
  AdamW optimizer(context, {}, DType::f64, 1, {{0, 1, Decay::yes}});
  const Tensor w = tensor_of(context, {1}, DType::f64, std::vector<double>{2.0});
  const Tensor zero = Tensor::zeros(context, {1}, DType::f64);
  optimizer.step(w, zero, 0.5, 1.0);
  CHECK(values_of(w)[0] == Approx(2.0 * (1.0 - 0.5 * 0.1)));
}

TEST_CASE("AdamW updates values in several pieces as it updates values in one, bit for bit") {
  TestContext context;
  constexpr std::int64_t kElements = 1000;
  const std::vector<DecayRange> ranges{
      {0, 300, Decay::yes}, {300, 310, Decay::no}, {310, 700, Decay::yes}, {700, kElements, Decay::no}};
  const auto start = normal_values(kElements, 1), g = normal_values(kElements, 2);
  const auto updated = [&](const std::vector<std::int64_t>& sizes) {
    const Tensor w = tensor_of(context, {kElements}, DType::f32, start);
    const Tensor gradients = tensor_of(context, {kElements}, DType::f32, g);
    AdamW optimizer(context, {}, DType::f32, kElements, ranges);
    std::vector<AdamWPiece> pieces;
    std::int64_t at = 0;
    for (const std::int64_t size : sizes) {
      pieces.push_back({w.slice(at, {size}), gradients.slice(at, {size})});
      at += size;
    }
    for (int step = 0; step < 2; ++step) optimizer.step(pieces, 0.1, 1.0);
    return values_of(w);
  };
  const Numbers whole = updated({kElements});
  for (const std::vector<std::int64_t>& sizes : std::vector<std::vector<std::int64_t>>{
           {300, 10, 390, 300}, {1, 304, 0, 1, 694}, {999, 1}, {305, 695}}) {
    CAPTURE(sizes);
    CHECK(updated(sizes) == whole);
  }
}

TEST_CASE("AdamW in bf16 updates masters as it updates float32, and values are masters rounded") {
  // More ranges than one launch on a device has, most of which end inside a pack.
  constexpr std::int64_t kElements = 1500;
  std::vector<DecayRange> ranges;
  for (std::int64_t at = 0; at < kElements; at += 15)
    ranges.push_back({at, at + 15, at % 2 == 0 ? Decay::yes : Decay::no});
  const auto start = normal_values(kElements, 1);
  TestContext context;
  for (const bool aligned : {true, false}) {
    const Tensor wide = tensor_of(context, {kElements}, DType::f32, start),
                 g = tensor_of(context, {kElements}, DType::f32, normal_values(kElements, 2));
    AdamW of_f32(context, {}, DType::f32, kElements, ranges),
        of_bf16(context, {}, DType::bf16, kElements, ranges);
    write_values(start, of_bf16.masters());
    const Fenced fenced(context, {kElements}, DType::bf16);  // of NaN, which the step does not read
    const Tensor values = aligned ? Tensor::empty(context, {kElements}, DType::bf16) : fenced.tensor();
    const auto piece = [&](std::int64_t at, std::int64_t size) {
      return AdamWPiece{values.slice(at, {size}), g.slice(at, {size})};
    };
    const std::vector<AdamWPiece> pieces{piece(0, 1000), piece(1000, 0), piece(1000, 500)};
    for (int step = 0; step < 2; ++step) {
      of_f32.step(wide, g, 0.1, 0.5);
      of_bf16.step(pieces, 0.1, 0.5);
      CHECK(same_bits(of_bf16.masters(), wide));
      CHECK(same_bits(values, tensor_of(context, {kElements}, DType::bf16, values_of(wide))));
    }
    CHECK(same_bits(of_bf16.second_moment(), of_f32.second_moment()));
    CHECK(fenced.intact());
  }
}

TEST_CASE("adamw: moments and masters in pinned memory of the host give the same bits") {
  const std::int64_t n = 1003;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Precision precision(dtype);
    const auto updated = [&](Place place) {
      TestContext context;
      AdamW optimizer(context, {}, precision, n, {{0, n, Decay::yes}}, place);
      const Tensor w = tensor_of(context, {n}, dtype, normal_values(n, 1));
      if (optimizer.masters().defined()) write_values(normal_values(n, 1), optimizer.masters());
      for (std::uint64_t step = 2; step < 5; ++step)
        optimizer.step(w, tensor_of(context, {n}, precision.gradients, normal_values(n, step)), 0.01, 1.0);
      const std::int64_t kept = AdamW::bytes_per_element(precision) * n;
      // Beside a device, the table of the host counts them, and that of the device does not.
      CHECK(context.memory(place).current(MemoryCategory::optimizer) == kept);
      if (place == Place::pinned && context.runtime() != nullptr)
        CHECK(context.memory().current(MemoryCategory::optimizer) == 0);
      return std::tuple{values_of(w), values_of(optimizer.first_moment()),
                        values_of(optimizer.second_moment())};
    };
    CHECK(updated(Place::pinned) == updated(Place::device));
  }
}

TEST_CASE("AdamW refuses ranges with holes and tensors of another length") {
  TestContext context;
  CHECK_THROWS_AS(AdamW(context, {}, DType::f32, 4, {{0, 2, Decay::yes}, {3, 4, Decay::no}}), Error);
  CHECK_THROWS_AS(AdamW(context, {}, DType::f32, 4, {{0, 3, Decay::yes}}), Error);
  AdamW optimizer(context, {}, DType::f32, 4, {{0, 4, Decay::yes}});
  const Tensor four = Tensor::zeros(context, {4}, DType::f32), five = Tensor::zeros(context, {5}, DType::f32);
  CHECK_THROWS_AS(optimizer.step(four, five, 0.1, 1.0), Error);
}

TEST_CASE("adamw: the gradient norm survives huge, tiny and zero gradients and does not depend on threads") {
  const std::int64_t n = 1'200'000;
  std::vector<double> norms;
  for (const int threads : {1, 2, 3}) {
    TestContext context({.threads = threads});
    const Tensor g = tensor_of(context, {n}, DType::f32, normal_values(n, 4));
    norms.push_back(gradient_norm(g));
    CHECK(gradient_norm(Tensor::zeros(context, {n}, DType::f32)) == 0.0);
    Numbers huge(static_cast<std::size_t>(n));
    huge[7] = 1e30;  // its square overflows float32
    CHECK(gradient_norm(tensor_of(context, {n}, DType::f32, huge)) == Approx(1e30).epsilon(1e-6));
  }
  CHECK(norms[0] == norms[1]);
  CHECK(norms[0] == norms[2]);
}

TEST_CASE("adamw: the gradient norm is that of plain sums, for every length") {
  TestContext context;
  for (const DType dtype : {DType::f32, DType::f64}) {
    // 64 and more fill four vectors of float64, and the rest is shorter.
    for (std::int64_t n = 0; n < 150; ++n) {
      CAPTURE(dtype, n);
      const Tensor g = tensor_of(context, {n}, dtype, normal_values(n, 5));
      double sum = 0.0;
      for (const double value : values_of(g)) sum += value * value;
      CHECK(gradient_norm(g) == Approx(std::sqrt(sum)).epsilon(1e-14));  // roundings of 150 terms at most
    }
  }
}

TEST_CASE("adamw: clipping scales to the limit, and only what exceeds it") {
  CHECK(clip_factor(0.5, 1.0) == 1.0);
  CHECK(clip_factor(0.0, 1.0) == 1.0);
  CHECK(clip_factor(4.0, 1.0) == Approx(0.25).epsilon(1e-6));
  CHECK(clip_factor(4.0, 0.0) == 1.0);  // off
}
