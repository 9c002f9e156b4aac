#include "core/ops/rms_norm.hpp"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/rms_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

constexpr std::int64_t kRows = RmsNorm::kRows;  // of one task

template <class T>
void forward_row(const T* x, const T* w, double eps, std::int64_t D, T* y, Wide<T>* r) {
  const double square = sum_wide(
      D, [](auto, auto v) HWY_ATTR { return hn::Mul(v, v); }, x);
  *r = static_cast<Wide<T>>(1.0 / std::sqrt(square / static_cast<double>(D) + eps));
  map(
      Store::overwrite, y, D,
      [r](auto d, auto v, auto u) HWY_ATTR { return hn::Mul(u, hn::Mul(v, hn::Set(d, *r))); }, x, w);
}

void rms_norm_forward(const RmsNorm::ForwardArgs& args) {
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() HWY_ATTR {
    const std::int64_t D = args.x_ND.shape()[1];
    const double eps = args.eps;
    const T *x = args.x_ND.data<const T>(), *w = args.w_D.data<const T>();
    T* const y = args.y_ND.data<T>();
    Wide<T>* const r = args.r_N.data<Wide<T>>();
    parallel_chunks(args.x_ND.context().pool(), args.x_ND.shape()[0], kRows,
                    [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
                      for (std::int64_t i = begin; i < end; ++i)
                        forward_row(x + i * D, w, eps, D, y + i * D, r + i);
                    });
  });
}

template <class T>
void input_gradient_row(const T* x, Wide<T> r, const T* w, const T* dy, std::int64_t D, Store store, T* dx) {
  const double dot = sum_wide(
      D, [](auto, auto u, auto v, auto g) HWY_ATTR { return hn::Mul(hn::Mul(u, v), g); }, x, w, dy);
  const double wide = static_cast<double>(r);
  const auto c = static_cast<Wide<T>>(wide * wide * wide * dot / static_cast<double>(D));
  map(
      store, dx, D,
      [=](auto d, auto u, auto v, auto g)
          HWY_ATTR { return hn::NegMulAdd(u, hn::Set(d, c), hn::Mul(hn::Mul(v, g), hn::Set(d, r))); },
      x, w, dy);
}

template <class T>
void add_weight_gradient_row(const T* x, Wide<T> r, const T* dy, std::int64_t D, Wide<T>* sum) {
  map(
      Store::add, sum, D,
      [=](auto d, auto u, auto g) HWY_ATTR { return hn::Mul(g, hn::Mul(u, hn::Set(d, r))); }, x, dy);
}

void rms_norm_backward(const RmsNorm::BackwardArgs& args, Workspace& workspace) {
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() HWY_ATTR {
    const std::int64_t N = args.x_ND.shape()[0], D = args.x_ND.shape()[1], tasks = (N + kRows - 1) / kRows;
    using W = Wide<T>;
    const T *x = args.x_ND.data<const T>(), *w = args.w_D.data<const T>(), *dy = args.dy_ND.data<const T>();
    const W* const r = args.r_N.data<const W>();
    T* const dx = args.dx_ND ? args.dx_ND.dst.data<T>() : nullptr;
    const Store store = store_of(args.dx_ND.beta);
    W* const partial = args.dw_D ? workspace.take<W>(tasks * D) : nullptr;
    args.x_ND.context().pool().run(tasks, [=](std::int64_t task) HWY_ATTR {
      W* const sum = partial == nullptr ? nullptr : partial + task * D;
      if (sum != nullptr) std::fill_n(sum, D, W(0));
      for (std::int64_t i = task * kRows; i < std::min(N, (task + 1) * kRows); ++i) {
        if (dx != nullptr) input_gradient_row(x + i * D, r[i], w, dy + i * D, D, store, dx + i * D);
        if (sum != nullptr) add_weight_gradient_row(x + i * D, r[i], dy + i * D, D, sum);
      }
    });
    if (args.dw_D) sum_rows(partial, tasks, D, args.dw_D.beta, args.dw_D.dst.data<W>());
  });
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(rms_norm_forward);
HWY_EXPORT(rms_norm_backward);

void forward_cpu(const RmsNorm::ForwardArgs& args) {
  HWY_DYNAMIC_DISPATCH(rms_norm_forward)(args);
}
void backward_cpu(const RmsNorm::BackwardArgs& args, Workspace& workspace) {
  HWY_DYNAMIC_DISPATCH(rms_norm_backward)(args, workspace);
}
std::int64_t backward_workspace(const RmsNorm::BackwardArgs& args, int /*threads*/) {
  const std::int64_t tasks = (args.x_ND.shape()[0] + RmsNorm::kRows - 1) / RmsNorm::kRows;
  return args.dw_D ? workspace_bytes({{tasks * args.x_ND.shape()[1], wide_of(args.x_ND.dtype())}}) : 0;
}

}  // namespace

constinit KernelSlot<RmsNorm::ForwardArgs> RmsNorm::forward_kernel{"rms_norm", forward_cpu};
constinit KernelSlot<RmsNorm::BackwardArgs> RmsNorm::backward_kernel{"rms_norm backward", backward_cpu,
                                                                     backward_workspace};

Tensor RmsNorm::forward(Saved* saved, const Tensor& x_ND, const Tensor& w_D) const {
  GRANULE_CHECK(x_ND.shape().rank() == 2 && w_D.shape() == Shape{x_ND.shape()[1]},
                "rms_norm: x {} with w {}, [N, D] and [D] are needed", x_ND.shape().str(), w_D.shape().str());
  GRANULE_CHECK(x_ND.dtype() == w_D.dtype(), "rms_norm: x is {}, w is {}", name_of(x_ND.dtype()),
                name_of(w_D.dtype()));
  GRANULE_CHECK(eps >= 0.0, "rms_norm: eps {}, at least 0 is needed", eps);
  Tensor y_ND = x_ND.empty_like(x_ND.shape());
  Tensor r_N = Tensor::empty(x_ND.context(), {x_ND.shape()[0]}, wide_of(x_ND.dtype()));
  forward_kernel({x_ND, w_D, eps, y_ND, r_N});
  if (saved != nullptr) *saved = {x_ND, r_N};
  return y_ND;
}

void RmsNorm::backward(const Saved& saved, const Tensor& w_D, const Tensor& dy_ND, const Grad& dx_ND,
                       const Grad& dw_D) const {
  backward_kernel({saved.x_ND, saved.r_N, w_D, dy_ND, dx_ND, dw_D});
}

}  // namespace granule
#endif
