#include "core/ops/rope.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/transfer_pieces.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/rope.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// One head: a and b are its halves, s is sin α or −sin α. y may be x.
template <class T, class F = Wide<T>>
void rotate_head(const T* x, const F* cos, const F* sin, F sign, std::int64_t H, T* y) {
  const hn::ScalableTag<F> d;
  const std::int64_t step = lanes(d);
  // `get` reads a vector and `put` writes one: a whole one, or the last elements.
  const auto rotate = [=](std::int64_t i, const auto& get, const auto& put) HWY_ATTR {
    const auto a = get(x + i), b = get(x + H + i), c = get(cos + i),
               s = hn::Mul(get(sin + i), hn::Set(d, sign));
    put(hn::NegMulAdd(b, s, hn::Mul(a, c)), y + i);
    put(hn::MulAdd(a, s, hn::Mul(b, c)), y + H + i);
  };
  std::int64_t i = 0;
  for (; i + step <= H; i += step) {
    rotate(
        i, [=](const auto* from) HWY_ATTR { return load(d, from); },
        [=](auto v, T* to) HWY_ATTR { store(v, d, to); });
  }
  if (i == H) return;
  rotate(
      i, [=](const auto* from) HWY_ATTR { return load_first(d, from, H - i); },
      [=](auto v, T* to) HWY_ATTR { store_first(v, d, to, H - i); });
}

void rope(const Rope::Args& args) {
  constexpr std::int64_t kRows = 16;
  const std::int32_t* const position = args.position_N.data<const std::int32_t>();
  dispatch_storage(args.x_NW.dtype(), [&]<class T>() HWY_ATTR {
    using F = Wide<T>;
    const std::int64_t W = args.x_NW.shape()[1], H = args.cos_PH.shape()[1], heads = args.heads;
    const T* const x = args.x_NW.data<const T>();
    const F *cos = args.cos_PH.data<const F>(), *sin = args.sin_PH.data<const F>();
    T* const y = args.y_NW.data<T>();
    const F sign = args.turn == Rope::Turn::forwards ? F(1) : F(-1);
    parallel_chunks(args.x_NW.context().pool(), args.x_NW.shape()[0], kRows,
                    [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
                      for (std::int64_t i = begin; i < end; ++i) {
                        const std::int64_t at = position[i] * H, row = i * W, rest = heads * 2 * H;
                        for (std::int64_t h = row; h < row + rest; h += 2 * H)
                          rotate_head<T>(x + h, cos + at, sin + at, sign, H, y + h);
                        if (x != y) std::copy_n(x + row + rest, W - rest, y + row + rest);
                      }
                    });
  });
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(rope);
void rope_cpu(const Rope::Args& args) {
  const std::int64_t P = args.cos_PH.shape()[0];
  const auto* const position = args.position_N.data<const std::int32_t>();
  for (std::int64_t i = 0; i < args.position_N.numel(); ++i) {
    GRANULE_CHECK(position[i] >= 0 && position[i] < P, "rope: position {} of row {}, the table has {}",
                  position[i], i, P);
  }
  HWY_DYNAMIC_DISPATCH(rope)(args);
}

}  // namespace

constinit KernelSlot<Rope::Args> Rope::kernel{"rope", rope_cpu};

RopeTable::RopeTable(Context& context, DType dtype, std::int64_t head_dim, double theta,
                     std::int64_t positions, double stretch) {
  GRANULE_CHECK(head_dim > 0 && head_dim % 2 == 0, "rope: a head of {} columns has no halves", head_dim);
  GRANULE_CHECK(theta > 0.0 && stretch > 0.0, "rope: theta {}, stretch {}, more than 0 is needed", theta,
                stretch);
  const std::int64_t H = head_dim / 2;
  std::vector<double> rates;  // the angle of each pair of columns at position 1
  for (std::int64_t j = 0; j < H; ++j)
    rates.push_back(std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim)));
  cos_PH = Tensor::empty(context, {positions, H}, dtype, MemoryCategory::weights);
  sin_PH = Tensor::empty(context, {positions, H}, dtype, MemoryCategory::weights);
  if (!context.keeps_bytes()) return;
  dispatch_float(dtype, [&]<class T>() {
    const auto write_angles = [&](const Tensor& table, double (*function)(double)) {
      write_in_pieces<T>(table, [&](std::int64_t i, std::span<T> piece) {
        for (T& value : piece) {
          const std::int64_t place = i / H;
          const double position = static_cast<double>(place) / stretch;
          value = static_cast<T>(function(position * rates[static_cast<std::size_t>(i % H)]));
          ++i;
        }
      });
    };
    write_angles(cos_PH, [](double angle) { return std::cos(angle); });
    write_angles(sin_PH, [](double angle) { return std::sin(angle); });
  });
}

Tensor Rope::turned(Tensor x_NW, Turn turn) const {
  GRANULE_CHECK(x_NW.shape().rank() == 2 && position_N.shape() == Shape{x_NW.shape()[0]},
                "rope: x {} with positions {}, [N, W] and [N] are needed", x_NW.shape().str(),
                position_N.shape().str());
  const std::int64_t head_dim = 2 * table.cos_PH.shape()[1];
  GRANULE_CHECK(heads >= 0 && heads * head_dim <= x_NW.shape()[1], "rope: {} heads of {} columns in x {}",
                heads, head_dim, x_NW.shape().str());
  GRANULE_CHECK(wide_of(x_NW.dtype()) == table.cos_PH.dtype(), "rope: x is {}, the table {}",
                name_of(x_NW.dtype()), name_of(table.cos_PH.dtype()));
  Tensor y_NW = x_NW.shared() ? x_NW.empty_like(x_NW.shape()) : x_NW;
  kernel({std::move(x_NW), table.cos_PH, table.sin_PH, position_N, heads, turn, y_NW});
  return y_NW;
}

Tensor Rope::forward(Tensor x_NW) const {
  return turned(std::move(x_NW), Turn::forwards);
}
Tensor Rope::backward(Tensor dy_NW) const {
  return turned(std::move(dy_NW), Turn::backwards);
}

}  // namespace granule
#endif
