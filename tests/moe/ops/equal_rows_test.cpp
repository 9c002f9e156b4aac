// Equal rows that go into an operator come out with equal bits, wherever they are. This holds for its result,
// and for the gradients that have a row for each of them. The sizes are close to those of the blocks and
// tiles of products.
#include <numeric>

#include "core/ops/attention.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/linear_cross_entropy.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::array<DType, 2> kTypes{DType::f32, DType::f64};

std::vector<std::int64_t> sizes() {
  std::vector<std::int64_t> all(20);
  std::iota(all.begin(), all.end(), 1);
  for (const std::int64_t size : {47, 48, 49, 50, 255, 256, 257, 258, 511, 512, 513}) all.push_back(size);
  return all;
}

/// The same `numbers`, `count` times.
Numbers repeated(const Numbers& numbers, std::int64_t count) {
  Numbers all;
  for (std::int64_t i = 0; i < count; ++i) all.insert(all.end(), numbers.begin(), numbers.end());
  return all;
}

Tensor rows_of(Context& context, DType dtype, std::int64_t count, const Numbers& row) {
  return tensor_of(context, {count, std::ssize(row)}, dtype, repeated(row, count));
}

/// A matrix whose columns are equal. Row r is filled with the r-th number.
Tensor equal_columns(Context& context, DType dtype, std::int64_t rows, std::int64_t columns) {
  Numbers all;
  for (const double number : normal_values(rows, 5))
    all.insert(all.end(), static_cast<std::size_t>(columns), number);
  return tensor_of(context, {rows, columns}, dtype, all);
}

/// Compares the `count` equally long parts of the tensor with the first one. Returns the first part that
/// differs, or -1.
std::int64_t first_other(const Tensor& tensor, std::int64_t count) {
  const std::int64_t length = tensor.numel() / count;
  const Tensor first = tensor.slice(0, {length});
  for (std::int64_t i = 1; i < count; ++i)
    if (!same_bits(tensor.slice(i * length, {length}), first)) return i;
  return -1;
}

}  // namespace

TEST_CASE("equal_rows: a linear map of equal rows has equal rows, its gradients too") {
  for (const DType dtype : kTypes) {
    TestContext context({.threads = 2});
    for (const auto& [d, o] : {std::array<std::int64_t, 2>{8, 3}, {33, 130}, {129, 20}}) {
      const Tensor w = tensor_of(context, {o, d}, dtype, normal_values(o * d, 1));
      for (const std::int64_t n : sizes()) {
        CAPTURE(name_of(dtype), n, d, o);
        const Tensor x = rows_of(context, dtype, n, normal_values(d, 2));
        const Tensor dy = rows_of(context, dtype, n, normal_values(o, 3));
        LinearMap::Saved saved;
        CHECK(first_other(LinearMap{}.forward(&saved, x, w), n) == -1);
        const Tensor dx = x.empty_like(x.shape());
        LinearMap{}.backward(saved, w, dy, {dx, 0.0}, {});
        CHECK(first_other(dx, n) == -1);
        // A row of the weights' gradient belongs to a column of dy.
        const Tensor dw = Tensor::empty(context, {n, d}, dtype);
        LinearMap{}.backward(saved, Tensor::zeros(context, {n, d}, dtype),
                             equal_columns(context, dtype, n, n), {}, {dw, 0.0});
        CHECK(first_other(dw, n) == -1);
      }
    }
  }
}

TEST_CASE(
    "equal_rows: equal tokens of equal experts have equal rows, whatever else the experts are asked for") {
  for (const DType dtype : kTypes) {
    TestContext context({.threads = 2, .step_memory = std::int64_t{1} << 26});
    for (const auto& [d, f] : {std::array<std::int64_t, 2>{8, 5}, {20, 65}, {129, 17}}) {
      // The second expert has no token. The third one has the weights of the first one.
      const Numbers w13 = repeated(normal_values(2 * f * d, 1), 3), w2 = repeated(normal_values(d * f, 2), 3);
      for (const std::int64_t n : sizes()) {
        CAPTURE(name_of(dtype), n, d, f);
        const Tensor x = rows_of(context, dtype, n + 1, normal_values(d, 3));
        const Tensor w13_EGD = tensor_of(context, {3, 2 * f, d}, dtype, w13);
        const Tensor w2_EDF = tensor_of(context, {3, d, f}, dtype, w2);
        ExpertFfn::Saved saved;
        CHECK(first_other(ExpertFfn{}.forward(&saved, x, w13_EGD, w2_EDF, {0, n, n, n + 1}), n + 1) == -1);
        const Tensor dx = x.empty_like(x.shape());
        ExpertFfn{}.backward(saved, w13_EGD, w2_EDF, rows_of(context, dtype, n + 1, normal_values(d, 4)),
                             {dx, 0.0}, {}, {});
        CHECK(first_other(dx, n + 1) == -1);
        const Tensor dw2 = Tensor::empty(context, {3, d, f}, dtype);
        ExpertFfn{}.backward(saved, w13_EGD, w2_EDF, equal_columns(context, dtype, n + 1, d), {}, {},
                             {dw2, 0.0});
        CHECK(first_other(dw2.slice(0, {d, f}), d) == -1);
      }
    }
  }
}

TEST_CASE("equal_rows: equal sequences have equal attention, with a mask and without, and equal gradients") {
  for (const DType dtype : kTypes) {
    TestContext context({.threads = 2, .step_memory = std::int64_t{1} << 26});
    for (const std::int64_t seq : {1, 3, 16, 63, 65, 130}) {
      for (const std::int64_t batch : {2, 3, 17}) {
        const Attention attention{batch, seq, 2, 1, 5, 3};
        const Numbers one = normal_values(seq * attention.width(), 1);
        std::vector<std::int32_t> keys;
        for (std::int64_t i = 0; i < batch * seq; ++i)
          keys.push_back(i % seq < seq / 3 ? 0 : static_cast<std::int32_t>(seq / 3));
        const Tensor qkv = tensor_of(context, {batch * seq, attention.width()}, dtype, repeated(one, batch));
        const Tensor dy =
            tensor_of(context, {batch * seq, 6}, dtype, repeated(normal_values(seq * 6, 2), batch));
        for (const Tensor& first_key : {Tensor(), ids_of(context, {batch * seq}, keys)}) {
          CAPTURE(name_of(dtype), seq, batch, first_key.defined());
          Attention::Saved saved;
          CHECK(first_other(attention.forward(&saved, qkv, first_key), batch) == -1);
          const Tensor dqkv = qkv.empty_like(qkv.shape());
          attention.backward(saved, dy, {dqkv, 0.0});
          CHECK(first_other(dqkv, batch) == -1);
        }
      }
    }
  }
}

TEST_CASE(
    "equal_rows: equal tokens with equal targets have equal losses and gradients, in every chunk of logits") {
  for (const DType dtype : kTypes) {
    TestContext context({.threads = 2, .step_memory = std::int64_t{1} << 28});
    // A vocabulary of 8192 has chunks of 512 rows, and the others have chunks of 1024.
    for (const auto& [v, d, more] : {std::array<std::int64_t, 3>{5, 8, 1025},
                                     {300, 9, 1030},
                                     {2000, 6, 1025},
                                     {140, 130, 1031},
                                     {8192, 3, 514}}) {
      const Tensor w = tensor_of(context, {v, d}, dtype, normal_values(v * d, 1));
      std::vector<std::int64_t> all = sizes();
      all.push_back(more);
      for (const std::int64_t n : all) {
        if (v > 1000 && n > 20 && n < 512) continue;
        CAPTURE(name_of(dtype), n, v, d);
        const Tensor x = rows_of(context, dtype, n, normal_values(d, 2));
        const Tensor target = ids_of(context, {n}, std::vector<std::int32_t>(std::size_t(n), 3));
        LinearCrossEntropy::Saved saved;
        const double loss = values_of(LinearCrossEntropy{}.forward(&saved, x, w, target))[0];
        CHECK(first_other(saved.dx_ND, n) == -1);
        const Tensor one = ids_of(context, {1}, std::vector<std::int32_t>{3});
        const double alone = values_of(LinearCrossEntropy{}.forward(nullptr, x.slice(0, {1, d}), w, one))[0];
        double sum = 0.0;
        for (std::int64_t i = 0; i < n; ++i) sum += alone;
        if (v < 128) CHECK(loss == sum);
      }
    }
  }
}
