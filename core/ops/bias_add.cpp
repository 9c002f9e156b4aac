#include "core/ops/bias_add.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/bias_add.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/accumulate.hpp"
#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

void bias_add_forward(const BiasAdd::ForwardArgs& args) {
  constexpr std::int64_t kGrain = 64;
  dispatch_storage(args.x_NO.dtype(), [&]<class T>() HWY_ATTR {
    const std::int64_t O = args.b_O.numel();
    const T *x = args.x_NO.data<const T>(), *b = args.b_O.data<const T>();
    T* const y = args.y_NO.data<T>();
    parallel_chunks(args.y_NO.context().pool(), args.y_NO.shape()[0], kGrain,
                    [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
                      for (std::int64_t i = begin; i < end; ++i) {
                        map(
                            Store::overwrite, y + i * O, O,
                            [](auto, auto u, auto v) HWY_ATTR { return hn::Add(u, v); }, x + i * O, b);
                      }
                    });
  });
}

void bias_add_backward(const BiasAdd::BackwardArgs& args, Workspace& workspace) {
  constexpr std::int64_t kRows = BiasAdd::kRows;
  dispatch_storage(args.dy_NO.dtype(), [&]<class T>() HWY_ATTR {
    const std::int64_t N = args.dy_NO.shape()[0], O = args.dy_NO.shape()[1], tasks = (N + kRows - 1) / kRows;
    const T* const dy = args.dy_NO.data<const T>();
    Wide<T>* const partial = workspace.take<Wide<T>>(tasks * O);
    args.dy_NO.context().pool().run(tasks, [=](std::int64_t task) HWY_ATTR {
      const std::int64_t begin = task * kRows;
      sum_rows(dy + begin * O, std::min(kRows, N - begin), O, 0.0, partial + task * O);
    });
    sum_rows(partial, tasks, O, args.db_O.beta, args.db_O.dst.data<Wide<T>>());
  });
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(bias_add_forward);
HWY_EXPORT(bias_add_backward);

void forward_cpu(const BiasAdd::ForwardArgs& args) {
  HWY_DYNAMIC_DISPATCH(bias_add_forward)(args);
}
void backward_cpu(const BiasAdd::BackwardArgs& args, Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(bias_add_backward)(args, workspace);
}
std::int64_t backward_workspace(const BiasAdd::BackwardArgs& args, int /*threads*/) {
  const std::int64_t tasks = (args.dy_NO.shape()[0] + BiasAdd::kRows - 1) / BiasAdd::kRows;
  return workspace_bytes({{tasks * args.dy_NO.shape()[1], wide_of(args.dy_NO.dtype())}});
}

}  // namespace

constinit KernelSlot<BiasAdd::ForwardArgs> BiasAdd::forward_kernel{"bias_add", forward_cpu};
constinit KernelSlot<BiasAdd::BackwardArgs> BiasAdd::backward_kernel{"bias_add backward", backward_cpu,
                                                                     backward_workspace};

Tensor BiasAdd::forward(Saved*, const Tensor& x_NO, const Tensor& b_O) const {
  GRANULE_CHECK(x_NO.shape().rank() == 2 && b_O.shape() == Shape{x_NO.shape()[1]},
                "bias_add: x {} with b {}, [N, O] and [O] are needed", x_NO.shape().str(), b_O.shape().str());
  GRANULE_CHECK(x_NO.dtype() == b_O.dtype(), "bias_add: x is {}, b is {}", name_of(x_NO.dtype()),
                name_of(b_O.dtype()));
  Tensor y_NO = x_NO.empty_like(x_NO.shape());
  forward_kernel({x_NO, b_O, y_NO});
  return y_NO;
}

void BiasAdd::backward(const Saved&, const Tensor&, const Tensor& dy_NO, const Grad& dx_NO,
                       const Grad& db_O) const {
  if (dx_NO) accumulate(dy_NO, dx_NO);
  if (db_O) backward_kernel({dy_NO, db_O});
}

}  // namespace granule
#endif
