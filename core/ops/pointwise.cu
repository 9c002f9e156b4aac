// Operators that compute each element by itself, and the mean squared error.
#include "core/gpu/elementwise.cuh"
#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/ops/add.hpp"
#include "core/ops/gelu.hpp"
#include "core/ops/mse.hpp"
#include "core/ops/mul.hpp"
#include "core/ops/relu.hpp"
#include "core/ops/sub.hpp"

namespace granule {
namespace {

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Minus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a - b;
  }
};
struct Times {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a * b;
  }
};
struct Negative {
  template <class T>
  __device__ T operator()(T a) const {
    return -a;
  }
};
// The comparisons are false for NaN, so NaN passes in both directions.
struct Rectified {
  template <class T>
  __device__ T operator()(T x) const {
    return x < T(0) ? T(0) : x;
  }
};
struct RectifiedSlope {
  template <class T>
  __device__ T operator()(T y, T dy) const {
    return y <= T(0) ? T(0) : dy;
  }
};

// The formulas are those of core/ops/gelu.hpp.
template <class T>
constexpr T kInnerFactor = T(0.79788456080286535588);  // √(2/π)
template <class T>
constexpr T kCubic = T(0.044715);

template <class T>
__device__ T normal_distribution(T x) {
  return T(0.5) * gpu::erfc_of(x * T(-0.70710678118654752440));
}
template <class T>
__device__ T inner_tanh(T x) {
  return gpu::tanh_of(kInnerFactor<T> * (x + kCubic<T> * x * x * x));
}
struct ExactGelu {
  template <class T>
  __device__ T operator()(T x) const {
    return x * normal_distribution(x);
  }
};
struct ExactGeluSlope {
  template <class T>
  __device__ T operator()(T x, T dy) const {
    const T density = T(0.39894228040143267794) * gpu::exp_of(T(-0.5) * x * x);
    return dy * (normal_distribution(x) + x * density);
  }
};
struct TanhGelu {
  template <class T>
  __device__ T operator()(T x) const {
    return T(0.5) * x * (T(1) + inner_tanh(x));
  }
};
struct TanhGeluSlope {
  template <class T>
  __device__ T operator()(T x, T dy) const {
    const T t = inner_tanh(x), flat = T(1) - t * t;
    // Where tanh no longer changes, the other factors may already be infinite.
    const T moving = flat == T(0) ? T(0) : x * flat * (kInnerFactor<T> * (T(1) + T(3) * kCubic<T> * x * x));
    return dy * (T(0.5) * ((T(1) + t) + moving));
  }
};

template <class T>
struct SquaredDifference {
  const T *a, *b;
  __device__ double operator()(std::int64_t i) const {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    return difference * difference;
  }
};
struct Mean {
  std::int64_t n;
  double* y;
  __device__ void operator()(double sum) const { *y = sum / static_cast<double>(n); }
};
template <class T>
struct MseSlope {
  std::int64_t n;
  const double* dy;
  __device__ T operator()(T a, T b) const {
    return static_cast<T>(2.0 * *dy / static_cast<double>(n)) * (a - b);
  }
};

// Only the residual stream's sum is also in bf16, as on the CPU.
template <class F, class... In>
void map(const Grad& y, const F& f, const In&... in) {
  dispatch_float(y.dst.dtype(), [&]<class T>() { gpu::map_tensors<T>(y, f, in...); });
}
void add_forward(const Add::ForwardArgs& args) {
  dispatch_storage(args.y.dtype(), [&]<class T>() {
    gpu::map_tensors<T>({args.y, 0.0}, Plus{}, args.a, args.b);
  });
}

void gelu_forward(const Gelu::ForwardArgs& args) {
  const bool exact = args.approximate == GeluApproximate::none;
  exact ? map({args.y, 0.0}, ExactGelu{}, args.x) : map({args.y, 0.0}, TanhGelu{}, args.x);
}
void gelu_backward(const Gelu::BackwardArgs& args) {
  const bool exact = args.approximate == GeluApproximate::none;
  exact ? map(args.dx, ExactGeluSlope{}, args.x, args.dy) : map(args.dx, TanhGeluSlope{}, args.x, args.dy);
}

void mse_forward(const Mse::ForwardArgs& args, Workspace& workspace) {
  const std::int64_t n = args.a.numel();
  auto* const partial = workspace.take<double>(gpu::partial_sums(n));
  dispatch_float(args.a.dtype(), [&]<class T>() {
    gpu::sum(gpu::stream_of(args.a), n, partial,
             SquaredDifference<T>{args.a.data<const T>(), args.b.data<const T>()},
             Mean{n, args.y.data<double>()});
  });
}
std::int64_t mse_workspace(const Mse::ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{gpu::partial_sums(args.a.numel()), DType::f64}});
}
void mse_backward(const Mse::BackwardArgs& args) {
  dispatch_float(args.a.dtype(), [&]<class T>() {
    gpu::map_tensors<T>(args.da, MseSlope<T>{args.a.numel(), args.dy.data<const double>()}, args.a, args.b);
  });
}

const gpu::Kernels kernels([] {
  constexpr auto kCuda = DeviceType::cuda;
  Add::forward_kernel.fill(kCuda, add_forward);
  Sub::forward_kernel.fill(kCuda, [](const Sub::ForwardArgs& args) {
    map({args.y, 0.0}, Minus{}, args.a, args.b);
  });
  Sub::backward_kernel.fill(kCuda, [](const Sub::BackwardArgs& args) { map(args.db, Negative{}, args.dy); });
  Mul::kernel.fill(kCuda, [](const Mul::Args& args) { map(args.y, Times{}, args.a, args.b); });
  Relu::forward_kernel.fill(kCuda, [](const Relu::ForwardArgs& args) {
    map({args.y, 0.0}, Rectified{}, args.x);
  });
  Relu::backward_kernel.fill(
      kCuda, [](const Relu::BackwardArgs& args) { map(args.dx, RectifiedSlope{}, args.y, args.dy); });
  Gelu::forward_kernel.fill(kCuda, gelu_forward);
  Gelu::backward_kernel.fill(kCuda, gelu_backward);
  Mse::forward_kernel.fill(kCuda, mse_forward, mse_workspace);
  Mse::backward_kernel.fill(kCuda, mse_backward);
  return 10;
});

}  // namespace
}  // namespace granule
