#include "core/ops/mse.hpp"

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements whose squares are summed by one task

std::int64_t tasks_of(const Tensor& a) {
  return (a.numel() + kGrain - 1) / kGrain;
}

template <class T>
double mean_square(const Tensor& a, const Tensor& b, double* sums) {
  const T *u = a.data<const T>(), *v = b.data<const T>();
  parallel_chunks(a.context().pool(), a.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double difference = static_cast<double>(u[i]) - static_cast<double>(v[i]);
      sum += difference * difference;
    }
    sums[begin / kGrain] = sum;
  });
  double total = 0.0;
  for (std::int64_t task = 0; task < tasks_of(a); ++task) total += sums[task];
  return total / static_cast<double>(a.numel());
}

void forward_cpu(const Mse::ForwardArgs& args, Workspace& workspace) {
  double* const sums = workspace.take<double>(tasks_of(args.a));
  dispatch_float(args.a.dtype(),
                 [&]<class T>() { *args.y.data<double>() = mean_square<T>(args.a, args.b, sums); });
}
std::int64_t forward_workspace(const Mse::ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{tasks_of(args.a), DType::f64}});
}

void backward_cpu(const Mse::BackwardArgs& args) {
  const double factor = 2.0 * *args.dy.data<const double>() / static_cast<double>(args.a.numel());
  dispatch_float(args.a.dtype(), [&]<class T>() {
    map_elements<T>(
        args.da, [f = static_cast<T>(factor)](T u, T v) { return f * (u - v); }, args.a, args.b);
  });
}

}  // namespace

constinit KernelSlot<Mse::ForwardArgs> Mse::forward_kernel{"mse", forward_cpu, forward_workspace};
constinit KernelSlot<Mse::BackwardArgs> Mse::backward_kernel{"mse backward", backward_cpu};

Tensor Mse::forward(Saved* saved, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "-", a, b);
  GRANULE_CHECK(a.numel() > 0, "mse: {} has no elements, a mean needs one", a.shape().str());
  Tensor y = Tensor::empty(a.context(), {1}, DType::f64);
  forward_kernel({a, b, y});
  if (saved != nullptr) *saved = {a, b};
  return y;
}

void Mse::backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) backward_kernel({saved.a, saved.b, dy, da});
  if (db) backward_kernel({saved.b, saved.a, dy, db});
}

}  // namespace granule
