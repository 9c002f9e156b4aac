#include "core/ops/mse.hpp"

#include <vector>

#include "core/kernels/elementwise.hpp"

namespace granule {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements whose squares are summed by one task

template <class T>
double mean_square(const Tensor& a, const Tensor& b) {
  const T *u = a.data<const T>(), *v = b.data<const T>();
  std::vector<double> sums(static_cast<std::size_t>((a.numel() + kGrain - 1) / kGrain));
  parallel_chunks(a.context().pool(), a.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    double sum = 0.0;
    for (std::int64_t i = begin; i < end; ++i) {
      const double difference = static_cast<double>(u[i]) - static_cast<double>(v[i]);
      sum += difference * difference;
    }
    sums[static_cast<std::size_t>(begin / kGrain)] = sum;
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total / static_cast<double>(a.numel());
}

void forward_cpu(const Tensor& a, const Tensor& b, const Tensor& y) {
  dispatch_float(a.dtype(), [&]<class T>() { *y.data<double>() = mean_square<T>(a, b); });
}

void backward_cpu(const Tensor& a, const Tensor& b, const Tensor& dy, const Grad& da) {
  const double factor = 2.0 * dy.item<double>() / static_cast<double>(a.numel());
  dispatch_float(a.dtype(), [&]<class T>() {
    map_elements<T>(
        da, [f = static_cast<T>(factor)](T u, T v) { return f * (u - v); }, a, b);
  });
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&)> Mse::forward_kernel{"mse",
                                                                                            forward_cpu};
constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&, const Grad&)> Mse::backward_kernel{
    "mse backward", backward_cpu};

Tensor Mse::forward(Saved* saved, const Tensor& a, const Tensor& b) const {
  require_alike(kName, "-", a, b);
  GRANULE_CHECK(a.numel() > 0, "mse: {} has no elements, a mean needs one", a.shape().str());
  Tensor y = Tensor::empty(a.context(), {1}, DType::f64);
  forward_kernel(a.device(), a, b, y);
  if (saved != nullptr) *saved = {a, b};
  return y;
}

void Mse::backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const {
  if (da) backward_kernel(dy.device(), saved.a, saved.b, dy, da);
  if (db) backward_kernel(dy.device(), saved.b, saved.a, dy, db);
}

}  // namespace granule
