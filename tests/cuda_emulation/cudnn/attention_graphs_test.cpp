// What our graphs of attention mean: the interpreter runs them, and the CPU's attention in float64 is the
// reference. The real cuDNN says in tests/cudnn that it has engines for them.
#include <cmath>

#include <cuda_bf16.h>

#include "core/gpu/cudnn/attention_plans.cuh"
#include "core/ops/attention.hpp"
#include "tests/cuda_emulation/cudnn/graphs.hpp"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using cuda_emulation::Buffer, cuda_emulation::Stream;
using gpu::dnn::AttentionPlan, gpu::dnn::AttentionShape, gpu::dnn::Direction;

namespace {

using Bf16 = __nv_bfloat16;
using FirstKeys = std::vector<std::int32_t>;

std::vector<Bf16> rounded(const Numbers& values) {
  std::vector<Bf16> result;
  for (const double value : values) result.push_back(__float2bfloat16(static_cast<float>(value)));
  return result;
}
template <class T>
Numbers numbers(const std::vector<T>& values) {
  Numbers result;
  for (const T& value : values) result.push_back(static_cast<double>(static_cast<float>(value)));
  return result;
}

struct Results {
  Numbers y, log_sum, dqkv;
};

/// The CPU's kernels.
Results in_float64(const Attention& a, const Numbers& qkv, const Numbers& dy, const FirstKeys& first_keys) {
  Context context({.threads = 1});
  const std::int64_t tokens = a.batch * a.seq;
  const Tensor x = tensor_of(context, {tokens, a.width()}, DType::f64, qkv),
               gradient = x.empty_like(x.shape());
  const Tensor keys = first_keys.empty() ? Tensor() : ids_of(context, {tokens}, first_keys);
  Attention::Saved saved;
  const Tensor y = a.forward(&saved, x, keys);
  a.backward(saved, tensor_of(context, y.shape(), DType::f64, dy), {gradient, 0.0});
  return {values_of(y), values_of(saved.log_sum), values_of(gradient)};
}

/// A mask with rows of `pitch` elements.
std::vector<Bf16> mask_of(const AttentionShape& shape, const FirstKeys& first_keys) {
  std::vector<Bf16> mask(static_cast<std::size_t>(shape.batch * shape.seq * shape.mask_pitch()));
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const auto row = i / static_cast<std::size_t>(shape.mask_pitch()),
               key = i % static_cast<std::size_t>(shape.mask_pitch());
    const bool hidden = !first_keys.empty() && key < static_cast<std::size_t>(first_keys[row]);
    mask[i] = __float2bfloat16(hidden ? -1e30F : 0.0F);
  }
  return mask;
}

/// Both graphs on the emulated device. Backward reads what forward has written.
class OnDevice {
 public:
  OnDevice(const Attention& a, const Numbers& qkv, const Numbers& dy, const FirstKeys& first_keys)
      : shape_{a.batch, a.seq, a.heads, a.kv_heads, a.qk_dim, a.v_dim, !first_keys.empty()},
        plans_(stream_, 90),
        scale_(1.0F / std::sqrt(static_cast<float>(a.qk_dim))),
        qkv_(stream_, rounded(qkv)),
        dy_(stream_, rounded(dy)),
        mask_(stream_, mask_of(shape_, first_keys)),
        y_(dy.size()),
        dqkv_(qkv.size()),
        log_sum_(sums()),
        dot_(sums()) {}

  Results results() {
    run(Direction::forward);
    run(Direction::backward);
    cuda_emulation::check_red_zones();
    return {numbers(y_.values(stream_)), numbers(log_sum_.values(stream_)), numbers(dqkv_.values(stream_))};
  }

 private:
  [[nodiscard]] std::size_t sums() const {
    return static_cast<std::size_t>(shape_.batch * shape_.seq * shape_.heads);
  }

  void run(Direction direction) {
    const AttentionPlan* const plan = plans_.find(direction, shape_);
    REQUIRE(plan != nullptr);
    CHECK(plan->plan.configuration().engine() == 2);  // the first engine of the fake does not repeat
    REQUIRE(plan->sequences == shape_.batch);
    const std::int64_t k = shape_.heads * shape_.qk_dim, v = k + shape_.kv_heads * shape_.qk_dim;
    using namespace gpu::dnn;
    std::vector<Binding> bindings{{kQ, qkv_.data()},  {kK, qkv_.data() + k},      {kV, qkv_.data() + v},
                                  {kY, y_.data()},    {kLogSum, log_sum_.data()}, {kScale, &scale_},
                                  {kHidden, &hidden_}};
    if (shape_.masked) bindings.push_back({kMask, mask_.data()});
    if (direction == Direction::backward) {
      for (const Binding& more :
           {Binding{kDy, dy_.data()}, Binding{kDot, dot_.data()}, Binding{kOne, &one_},
            Binding{kDq, dqkv_.data()}, Binding{kDk, dqkv_.data() + k}, Binding{kDv, dqkv_.data() + v}})
        bindings.push_back(more);
    }
    const Buffer<std::byte> workspace(
        static_cast<std::size_t>(std::max<std::int64_t>(plan->plan.workspace(), 1)));
    plan->plan.run(plans_.handle(), bindings, workspace.data());
    stream_.wait();
  }

  AttentionShape shape_;
  Stream stream_;
  gpu::dnn::AttentionPlans plans_;
  float scale_, hidden_ = std::numeric_limits<float>::lowest(), one_ = 1.0F;
  Buffer<Bf16> qkv_, dy_, mask_, y_, dqkv_;
  Buffer<float> log_sum_, dot_;
};

/// The part of the columns that are queries, keys or values, of all rows.
Numbers columns(const Attention& a, const Numbers& x, std::int64_t begin, std::int64_t end) {
  Numbers part;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i) % a.width();
    if (column >= begin && column < end) part.push_back(x[i]);
  }
  return part;
}

double largest(const Numbers& x) {
  double most = 0.0;
  for (const double value : x) most = std::max(most, std::abs(value));
  return most;
}
/// The largest Σ |y dy| of a head.
double largest_dot(const Attention& a, const Numbers& y, const Numbers& dy) {
  Numbers sums(y.size() / static_cast<std::size_t>(a.v_dim), 0.0);
  for (std::size_t i = 0; i < y.size(); ++i)
    sums[i / static_cast<std::size_t>(a.v_dim)] += std::abs(y[i] * dy[i]);
  return largest(sums);
}

void compare(const Attention& a, const FirstKeys& first_keys = {}) {
  INFO("batch " << a.batch << ", seq " << a.seq << ", heads " << a.heads << "/" << a.kv_heads << ", widths "
                << a.qk_dim << "/" << a.v_dim << (first_keys.empty() ? "" : ", by document"));
  const std::int64_t tokens = a.batch * a.seq;
  const Numbers qkv = numbers(rounded(normal_values(tokens * a.width(), 1)));
  const Numbers dy = numbers(rounded(normal_values(tokens * a.heads * a.v_dim, 2)));
  const Results expected = in_float64(a, qkv, dy, first_keys);
  const Results found = OnDevice(a, qkv, dy, first_keys).results();
  // Log sums are float32, and so are the scores that they are made of.
  CHECK(relative_difference(found.log_sum, expected.log_sum, 1.0) < 1e-6);
  // A rounding to bf16 is at most 2e-3 of a number. Weights and Y are rounded. Gradients have the roundings
  // of weights or dS, of each head's part, and of their own. dS = P (dP − ⟨y, dy⟩) also has that of y,
  // relative to numbers that may be larger than their difference.
  CHECK(relative_difference(found.y, expected.y) < 4e-3);
  const double floor =
      largest_dot(a, expected.y, dy) * largest(qkv) / std::sqrt(static_cast<double>(a.qk_dim));
  const std::int64_t k = a.heads * a.qk_dim, v = k + a.kv_heads * a.qk_dim;
  const auto differ = [&](std::int64_t begin, std::int64_t end) {
    return relative_difference(columns(a, found.dqkv, begin, end), columns(a, expected.dqkv, begin, end),
                               floor);
  };
  CHECK(differ(0, k) < 8e-3);
  CHECK(differ(k, v) < 8e-3);
  CHECK(relative_difference(columns(a, found.dqkv, v, a.width()), columns(a, expected.dqkv, v, a.width())) <
        8e-3);
}

/// Documents begin at 0, 3 and 7 of every sequence.
FirstKeys documents(const Attention& a) {
  FirstKeys keys;
  for (std::int64_t i = 0; i < a.batch * a.seq; ++i)
    keys.push_back(i % a.seq >= 7 ? 7 : i % a.seq >= 3 ? 3 : 0);
  return keys;
}

}  // namespace

TEST_CASE("cudnn graphs: forward and backward are the attention of the CPU in float64") {
  compare({1, 2, 1, 1, 8, 8});
  compare({2, 11, 4, 4, 16, 16});
  compare({2, 13, 6, 2, 32, 16});
  compare({1, 9, 4, 1, 64, 64});
  compare({1, 10, 2, 2, 96, 128});
  compare({1, 12, 2, 1, 128, 128});
}

TEST_CASE("cudnn graphs: with a mask, no token sees another document") {
  const Attention a{2, 13, 4, 2, 16, 32};
  compare(a, documents(a));
  const Attention whole{1, 16, 2, 2, 8, 8};
  compare(whole, FirstKeys(16, 0));
}
