#include "core/ops/add.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/add.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/elementwise.hpp"
#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

void add(const Add::ForwardArgs& args) {
  constexpr std::int64_t kGrain = 1 << 15;
  dispatch_storage(args.y.dtype(), [&]<class T>() HWY_ATTR {
    const T *left = args.a.data<const T>(), *right = args.b.data<const T>();
    T* const out = args.y.data<T>();
    parallel_chunks(
        args.y.context().pool(), args.y.numel(), kGrain, [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
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
void add_cpu(const Add::ForwardArgs& args) {
  HWY_DYNAMIC_DISPATCH(add)(args);
}

}  // namespace

constinit KernelSlot<Add::ForwardArgs> Add::forward_kernel{"add", add_cpu};

Tensor Add::forward(Saved*, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "+", a, b);
  Tensor y = a.empty_like(a.shape());
  forward_kernel({a, b, y});
  return y;
}

}  // namespace granule
#endif
