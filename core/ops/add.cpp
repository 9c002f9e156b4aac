#include "core/ops/add.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/add.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/elementwise.hpp"
#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

void add(const Tensor& a, const Tensor& b, const Tensor& y) {
  constexpr std::int64_t kGrain = 1 << 15;
  dispatch_float(y.dtype(), [&]<class T>() HWY_ATTR {
    const T *left = a.data<const T>(), *right = b.data<const T>();
    T* const out = y.data<T>();
    parallel_chunks(
        y.context().pool(), y.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
          map(
              Store::overwrite, out + begin, end - begin,
              [](auto, auto u, auto v) HWY_ATTR { return hn::Add(u, v); }, left + begin, right + begin);
        });
  });
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(add);
void add_cpu(const Tensor& a, const Tensor& b, const Tensor& y) {
  HWY_DYNAMIC_DISPATCH(add)(a, b, y);
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&)> Add::forward_kernel{"add", add_cpu};

Tensor Add::forward(Saved*, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "+", a, b);
  Tensor y = a.empty_like(a.shape());
  forward_kernel(y.device(), a, b, y);
  return y;
}

void Add::backward(const Saved&, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) accumulate(dy, da);
  if (db) accumulate(dy, db);
}

}  // namespace granule
#endif
