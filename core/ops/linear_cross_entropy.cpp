#include "core/ops/linear_cross_entropy.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/gemm.hpp"
#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

using Saved = LinearCrossEntropy::Saved;

/// How many rows of logits are held at once: some 16 MiB of float32, by the shape alone.
std::int64_t chunk_rows(std::int64_t rows, std::int64_t vocabulary) {
  constexpr std::int64_t kElements = std::int64_t{1} << 22;
  return std::min(rows,
                  std::clamp<std::int64_t>(kElements / std::max<std::int64_t>(vocabulary, 1), 16, 1024));
}

/// Turns a row of logits into its loss, and in place into the gradient of that loss.
template <class T>
double loss_of_row(T* row, std::int64_t vocabulary, std::int32_t target) {
  if (target == kIgnoreTarget) {
    std::fill_n(row, vocabulary, T(0));
    return 0.0;
  }
  const double at_target = static_cast<double>(row[target]);
  const double log_sum = softmax_row(row, vocabulary, T(1));
  row[target] -= T(1);
  return log_sum - at_target;
}

template <class T>
double forward_cpu(const Tensor& x, const Tensor& w, const std::int32_t* target, Saved* saved) {
  ThreadPool& pool = x.context().pool();
  const std::int64_t n = x.shape()[0], d = x.shape()[1], v = w.shape()[0], chunk = chunk_rows(n, v);
  const Tensor logits = Tensor::empty(x.context(), {chunk, v}, x.dtype(), MemoryCategory::scratch);
  T* const z = logits.data<T>();
  std::vector<double> losses(static_cast<std::size_t>(n));
  for (std::int64_t first = 0; first < n; first += chunk) {
    const std::int64_t rows = std::min(chunk, n - first);
    const T* const x_rows = x.data<const T>() + first * d;
    gemm<T>(pool, rows, v, d, {x_rows, d}, {w.data<const T>(), d, Transpose::yes}, {z, v},
            OneRow::like_others);
    parallel_chunks(pool, rows, 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        losses[static_cast<std::size_t>(first + i)] = loss_of_row(z + i * v, v, target[first + i]);
      }
    });
    if (saved == nullptr) continue;
    gemm<T>(pool, rows, d, v, {z, v}, {w.data<const T>(), d}, {saved->dx_ND.data<T>() + first * d, d},
            OneRow::like_others);
    gemm<T>(pool, v, d, rows, {z, v, Transpose::yes}, {x_rows, d},
            {saved->dw_VD.data<T>(), d, first == 0 ? 0.0 : 1.0});
  }
  double sum = 0.0;
  for (const double loss : losses) sum += loss;
  return sum;
}

void forward_dispatch(const Tensor& x, const Tensor& w, const Tensor& target, Saved* saved, const Tensor& y) {
  dispatch_float(x.dtype(), [&]<class T>() {
    *y.data<double>() = forward_cpu<T>(x, w, target.data<const std::int32_t>(), saved);
  });
}

template <class T>
void scale_into(const Tensor& source, double factor, const Grad& destination) {
  const T* const from = source.data<const T>();
  T* const to = destination.dst.data<T>();
  const T f = static_cast<T>(factor);
  const bool add = destination.beta != 0.0;
  parallel_chunks(source.context().pool(), source.numel(), 1 << 16,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i)
                      to[i] = add ? f * from[i] + to[i] : f * from[i];
                  });
}

void backward_dispatch(const Saved& saved, const Tensor& dy, const Grad& dx, const Grad& dw) {
  dispatch_float(saved.dx_ND.dtype(), [&]<class T>() {
    if (dx) scale_into<T>(saved.dx_ND, dy.item<double>(), dx);
    if (dw) scale_into<T>(saved.dw_VD, dy.item<double>(), dw);
  });
}

void check_targets(const Tensor& target, std::int64_t vocabulary) {
  for (const std::int32_t id : target.span<const std::int32_t>()) {
    GRANULE_CHECK(id == kIgnoreTarget || (id >= 0 && id < vocabulary),
                  "linear_cross_entropy: target {}, the vocabulary has {}", id, vocabulary);
  }
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&, Saved*, const Tensor&)>
    LinearCrossEntropy::forward_kernel{"linear_cross_entropy", forward_dispatch};
constinit KernelSlot<void(const Saved&, const Tensor&, const Grad&, const Grad&)>
    LinearCrossEntropy::backward_kernel{"linear_cross_entropy backward", backward_dispatch};

Tensor LinearCrossEntropy::forward(Saved* saved, const Tensor& x_ND, const Tensor& w_VD,
                                   const Tensor& target_N) const {
  GRANULE_CHECK(x_ND.shape()[1] == w_VD.shape()[1], "linear_cross_entropy: x has {} features, w takes {}",
                x_ND.shape()[1], w_VD.shape()[1]);
  GRANULE_CHECK(target_N.numel() == x_ND.shape()[0], "linear_cross_entropy: {} rows, {} targets",
                x_ND.shape()[0], target_N.numel());
  check_targets(target_N, w_VD.shape()[0]);
  // If there are no rows, no product writes dw.
  if (saved != nullptr)
    *saved = {x_ND.empty_like(x_ND.shape()), Tensor::zeros(w_VD.context(), w_VD.shape(), w_VD.dtype())};
  Tensor y = Tensor::empty(x_ND.context(), {1}, DType::f64);
  forward_kernel(x_ND.device(), x_ND, w_VD, target_N, saved, y);
  return y;
}

void LinearCrossEntropy::backward(const Saved& saved, const Tensor&, const Tensor& dy, const Grad& dx_ND,
                                  const Grad& dw_VD) const {
  backward_kernel(saved.dx_ND.device(), saved, dy, dx_ND, dw_VD);
}

}  // namespace granule
