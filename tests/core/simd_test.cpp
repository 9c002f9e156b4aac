#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/ops/bias_add.hpp"
#include "core/ops/rms_norm.hpp"
#include "core/ops/rope.hpp"
#include "core/ops/swiglu.hpp"
#include "tests/support/tensors.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/core/simd_test.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

void exp_f32(const std::vector<float>& x, std::vector<float>& y) {
  map(
      Store::overwrite, y.data(), static_cast<std::int64_t>(x.size()),
      [](auto d, auto v) HWY_ATTR { return exp_of(d, v); }, x.data());
}
void exp_f64(const std::vector<double>& x, std::vector<double>& y) {
  map(
      Store::overwrite, y.data(), static_cast<std::int64_t>(x.size()),
      [](auto d, auto v) HWY_ATTR { return exp_of(d, v); }, x.data());
}
void add_f32(const std::vector<float>& x, float* y, std::int64_t n) {
  map(
      Store::add, y, n, [](auto, auto v) HWY_ATTR { return v; }, x.data());
}
void round_to_bf16(const std::vector<float>& x, bf16* y, std::int64_t n) {
  map(
      Store::overwrite, y, n, [](auto, auto v) HWY_ATTR { return v; }, x.data());
}
void add_bf16(const std::vector<bf16>& x, bf16* y, std::int64_t n) {
  map(
      Store::add, y, n, [](auto, auto v) HWY_ATTR { return v; }, x.data());
}
double sum_f32(const std::vector<float>& x, std::int64_t n) {
  return sum_wide(
      n, [](auto, auto v) HWY_ATTR { return v; }, x.data());
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(exp_f32);
HWY_EXPORT(exp_f64);
HWY_EXPORT(add_f32);
HWY_EXPORT(sum_f32);
HWY_EXPORT(round_to_bf16);
HWY_EXPORT(add_bf16);

namespace {

using namespace granule::test;

TEST_CASE("simd: bf16 is rounded and widened as one number is, at any length, on every instruction set") {
  std::vector<float> x{NAN, INFINITY, -INFINITY, 0x1.01p0F, 0x1.03p0F, 0x1p-140F, -0.0F, 3.4e38F};
  for (int i = 0; i < 60; ++i)
    x.push_back(std::bit_cast<float>(0x3F7F0000U + 0x1234567U * static_cast<unsigned>(i)));
  for_each_instruction_set([&](const char* name) {
    INFO(name);
    for (std::int64_t n = 0; n <= std::ssize(x); ++n) {
      const auto size = static_cast<std::size_t>(n);
      std::vector<bf16> y(size + 1, bf16(7.0F)), one;
      for (std::size_t i = 0; i < size; ++i) one.emplace_back(x[i]);
      HWY_DYNAMIC_DISPATCH(round_to_bf16)(x, y.data(), n);
      std::vector<bf16> twice = y;
      HWY_DYNAMIC_DISPATCH(add_bf16)(y, twice.data(), n);
      for (std::size_t i = 0; i < size; ++i) {
        CHECK(y[i].bits == one[i].bits);
        CHECK(twice[i].bits == bf16(2.0F * widened(one[i])).bits);
      }
      CHECK(y[size].bits == bf16(7.0F).bits);  // nothing is written after the end
    }
  });
}

TEST_CASE("simd: exp is right to 1e-7 in f32 and 1e-15 in f64 on every instruction set") {
  std::vector<float> x32;
  for (double x = -87.3; x < 88.36; x += 0.0007) x32.push_back(static_cast<float>(x));
  std::vector<double> x64;
  for (double x = -708.0; x < 709.0; x += 0.013) x64.push_back(x);
  for_each_instruction_set([&](const char* name) {
    INFO(name);
    std::vector<float> y32(x32.size());
    HWY_DYNAMIC_DISPATCH(exp_f32)(x32, y32);
    double worst = 0.0;
    for (std::size_t i = 0; i < x32.size(); ++i)
      worst = std::max(worst, std::abs(double(y32[i]) / std::exp(double(x32[i])) - 1.0));
    CHECK(worst <= 1e-7);
    std::vector<double> y64(x64.size());
    HWY_DYNAMIC_DISPATCH(exp_f64)(x64, y64);
    worst = 0.0;
    for (std::size_t i = 0; i < x64.size(); ++i)
      worst = std::max(worst, std::abs(y64[i] / std::exp(x64[i]) - 1.0));
    CHECK(worst <= 1e-15);
  });
}

TEST_CASE("simd: exp goes to 0 and infinity at the ends and keeps NaN on every instruction set") {
  for_each_instruction_set([&](const char* name) {
    INFO(name);
    const auto check = [&]<class T>(T, const auto& exp) {
      constexpr T infinity = std::numeric_limits<T>::infinity();
      const std::vector<T> x{-infinity, T(-1e30), T(-2000), T(0), T(2000), T(1e30), infinity, T(NAN)};
      std::vector<T> y(x.size());
      exp(x, y);
      CHECK(y[0] == T(0));
      CHECK(y[1] == T(0));
      CHECK(y[2] == T(0));
      CHECK(y[3] == T(1));
      CHECK(y[4] == infinity);
      CHECK(y[5] == infinity);
      CHECK(y[6] == infinity);
      CHECK(std::isnan(y[7]));
    };
    check(0.0F, HWY_DYNAMIC_DISPATCH(exp_f32));
    check(0.0, HWY_DYNAMIC_DISPATCH(exp_f64));
  });
}

TEST_CASE("simd: maps and sums of any length touch exactly their elements on every instruction set") {
  for_each_instruction_set([&](const char* name) {
    for (std::int64_t n = 0; n <= 70; ++n) {
      INFO(name << ", " << n << " elements");
      // The vector has exactly n elements, so AddressSanitizer reports a read after its end.
      std::vector<float> x(static_cast<std::size_t>(n));
      std::vector<float> y(x.size() + 1, 100.0F);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
      HWY_DYNAMIC_DISPATCH(add_f32)(x, y.data(), n);
      for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == 101.0F + static_cast<float>(i));
      CHECK(y.back() == 100.0F);
      const auto sum = n * (n + 1) / 2;
      CHECK(HWY_DYNAMIC_DISPATCH(sum_f32)(x, n) == static_cast<double>(sum));
    }
  });
}

template <class Op, class... Args>
std::vector<Numbers> run_recorded(DType dtype, const Tensor& x, const Op& op, const Args&... args) {
  typename Op::Saved saved;
  const Tensor y = op.forward(&saved, x, args...);
  const Tensor dy = tensor_of(x.context(), y.shape(), dtype, normal_values(y.numel(), 4));
  const Grad dx{x.empty_like(x.shape()), 0.0};
  if constexpr (std::is_same_v<Op, RmsNorm> || std::is_same_v<Op, BiasAdd>) {
    const Grad dw{x.empty_like({46}), 0.0};
    op.backward(saved, args..., dy, dx, dw);
    return {values_of(y), values_of(dx.dst), values_of(dw.dst)};
  } else {
    op.backward(saved, dy, dx);
    return {values_of(y), values_of(dx.dst)};
  }
}

/// Forward and gradient of an operator on [7, 46] in one instruction set.
template <class Op, class... Args>
std::vector<Numbers> run(Context& context, DType dtype, const Op& op, const Args&... args) {
  const Tensor x = tensor_of(context, {7, 46}, dtype, normal_values(7 * 46, 3));
  if constexpr (std::is_same_v<Op, Rope>) {
    return {values_of(op.forward(x)), values_of(op.backward(x))};
  } else {
    return run_recorded(dtype, x, op, args...);
  }
}

TEST_CASE("simd: operators compute the same on every instruction set, but for rounding") {
  Context context;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor w = tensor_of(context, {46}, dtype, normal_values(46, 5));
    const RopeTable table(context, dtype, 10, 100.0, 9);
    const Tensor positions = ids_of(context, {7}, std::vector<std::int32_t>{0, 1, 2, 8, 7, 6, 5});
    const auto all = [&] {
      std::vector<Numbers> results;
      for (auto& more : {run(context, dtype, RmsNorm{}, w), run(context, dtype, BiasAdd{}, w),
                         run(context, dtype, SwiGlu{}), run(context, dtype, Rope{4, table, positions})})
        results.insert(results.end(), more.begin(), more.end());
      return results;
    };
    const std::vector<Numbers> best = all();
    for_each_instruction_set([&](const char* name) {
      const std::vector<Numbers> these = all();
      for (std::size_t i = 0; i < best.size(); ++i) {
        INFO(name << ", " << name_of(dtype) << ", result " << i);
        CHECK(relative_difference(these[i], best[i]) <= (dtype == DType::f32 ? 1e-6 : 1e-15));
      }
    });
  }
}

}  // namespace
}  // namespace granule
#endif
