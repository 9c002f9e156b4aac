#include "core/ops/linear_cross_entropy.hpp"

#include <algorithm>
#include <cmath>

#include "core/kernels/convert.hpp"
#include "core/kernels/gemm.hpp"
#include "core/kernels/softmax.hpp"

namespace granule {
namespace {

using ForwardArgs = LinearCrossEntropy::ForwardArgs;
using BackwardArgs = LinearCrossEntropy::BackwardArgs;

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

void check_targets(const Tensor& target, std::int64_t vocabulary) {
  const auto* const ids = target.data<const std::int32_t>();
  for (std::int64_t i = 0; i < target.numel(); ++i) {
    const std::int32_t id = ids[i];
    GRANULE_CHECK(id == kIgnoreTarget || (id >= 0 && id < vocabulary),
                  "linear_cross_entropy: target {}, the vocabulary has {}", id, vocabulary);
  }
}

/// The rows of a wide vocabulary would begin at equal places of the cache, and a product reads and writes
/// many of them at once.
std::int64_t row_pitch(std::int64_t vocabulary) {
  return vocabulary + 32;
}

/// A chunk of logits, their gradients, and the loss of each row. Rows are `pitch` apart. Gradients take the
/// place of logits, or are beside them in bf16.
template <class T>
struct Buffers {
  std::int64_t pitch;
  Wide<T>* z;
  T* dz;
  double* losses;
};

/// Turns `rows` rows of logits into losses, and into gradients if they are wanted.
template <class T>
void losses_of_rows(ThreadPool& pool, const Buffers<T>& buffers, std::int64_t rows, std::int64_t v,
                    const std::int32_t* target, double* losses, bool gradients) {
  parallel_chunks(pool, rows, 8, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Wide<T>* const row = buffers.z + i * buffers.pitch;
      losses[i] = loss_of_row(row, v, target[i]);
      if constexpr (std::is_same_v<T, bf16>) {
        if (gradients) round_row(row, v, buffers.dz + i * buffers.pitch);
      }
    }
  });
}

/// Sums the losses of all rows. The gradients for dy = 1 are wide, so that scaling them rounds once.
template <class T>
double sum_losses(const ForwardArgs& args, const Buffers<T>& buffers) {
  using W = Wide<T>;
  ThreadPool& pool = args.x_ND.context().pool();
  const std::int64_t n = args.x_ND.shape()[0], d = args.x_ND.shape()[1], v = args.w_VD.shape()[0],
                     chunk = chunk_rows(n, v);
  const auto* const target = args.target_N.data<const std::int32_t>();
  const T *const x = args.x_ND.data<const T>(), *const w = args.w_VD.data<const T>();
  const bool gradients = args.dx_ND.defined();
  const MatrixIn<T> dz{buffers.dz, buffers.pitch}, dz_transposed{buffers.dz, buffers.pitch, Transpose::yes};
  double* const losses = buffers.losses;
  for (std::int64_t first = 0; first < n; first += chunk) {
    const std::int64_t rows = std::min(chunk, n - first);
    const T* const x_rows = x + first * d;
    gemm<T, W>(pool, rows, v, d, {x_rows, d}, {w, d, Transpose::yes}, {buffers.z, buffers.pitch},
               OneRow::like_others);
    losses_of_rows(pool, buffers, rows, v, target + first, losses + first, gradients);
    if (!gradients) continue;
    gemm<T, W>(pool, rows, d, v, dz, {w, d}, {args.dx_ND.data<W>() + first * d, d}, OneRow::like_others);
    gemm<T, W>(pool, v, d, rows, dz_transposed, {x_rows, d},
               {args.dw_VD.data<W>(), d, first == 0 ? 0.0 : 1.0});
  }
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) sum += losses[i];
  return sum;
}

void forward_cpu(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t n = args.x_ND.shape()[0], v = args.w_VD.shape()[0];
  check_targets(args.target_N, v);
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() {
    const std::int64_t rows = chunk_rows(n, v);
    Buffers<T> buffers{.pitch = row_pitch(v)};
    buffers.z = workspace.take<Wide<T>>(rows * buffers.pitch);
    if constexpr (std::is_same_v<T, bf16>) {
      buffers.dz = workspace.take<T>(rows * buffers.pitch);
    } else {
      buffers.dz = buffers.z;
    }
    buffers.losses = workspace.take<double>(n);
    *args.y.data<double>() = sum_losses<T>(args, buffers);
  });
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  const std::int64_t n = args.x_ND.shape()[0], v = args.w_VD.shape()[0];
  const std::int64_t elements = chunk_rows(n, v) * row_pitch(v);
  const DType dtype = args.x_ND.dtype();
  return workspace_bytes(
      {{elements, wide_of(dtype)}, {dtype == DType::bf16 ? elements : 0, dtype}, {n, DType::f64}});
}

template <class T>
void scale_into(const Tensor& source, double factor, const Grad& destination) {
  const Wide<T>* const from = source.data<const Wide<T>>();
  T* const to = destination.dst.data<T>();
  const auto f = static_cast<Wide<T>>(factor);
  const bool add = destination.beta != 0.0;
  parallel_chunks(source.context().pool(), source.numel(), 1 << 16,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i)
                      to[i] = static_cast<T>(add ? f * from[i] + widened(to[i]) : f * from[i]);
                  });
}

void backward_cpu(const BackwardArgs& args) {
  const double dy = *args.dy.data<const double>();
  if (args.dx_ND) {
    dispatch_storage(args.dx_ND.dst.dtype(),
                     [&]<class T>() { scale_into<T>(args.saved_dx_ND, dy, args.dx_ND); });
  }
  if (args.dw_VD)
    dispatch_float(args.dw_VD.dst.dtype(),
                   [&]<class T>() { scale_into<T>(args.saved_dw_VD, dy, args.dw_VD); });
}

}  // namespace

constinit KernelSlot<ForwardArgs> LinearCrossEntropy::forward_kernel{"linear_cross_entropy", forward_cpu,
                                                                     forward_workspace};
constinit KernelSlot<BackwardArgs> LinearCrossEntropy::backward_kernel{"linear_cross_entropy backward",
                                                                       backward_cpu};

Tensor LinearCrossEntropy::forward(Saved* saved, const Tensor& x_ND, const Tensor& w_VD,
                                   const Tensor& target_N) const {
  GRANULE_CHECK(x_ND.shape()[1] == w_VD.shape()[1], "linear_cross_entropy: x has {} features, w takes {}",
                x_ND.shape()[1], w_VD.shape()[1]);
  GRANULE_CHECK(target_N.numel() == x_ND.shape()[0], "linear_cross_entropy: {} rows, {} targets",
                x_ND.shape()[0], target_N.numel());
  Saved gradients;
  const DType wide = wide_of(x_ND.dtype());
  // If there are no rows, no product writes dw.
  if (saved != nullptr) {
    gradients = {Tensor::empty(x_ND.context(), x_ND.shape(), wide),
                 Tensor::zeros(w_VD.context(), w_VD.shape(), wide)};
  }
  Tensor y = Tensor::empty(x_ND.context(), {1}, DType::f64);
  forward_kernel({x_ND, w_VD, target_N, gradients.dx_ND, gradients.dw_VD, y});
  if (saved != nullptr) *saved = std::move(gradients);
  return y;
}

void LinearCrossEntropy::backward(const Saved& saved, const Tensor&, const Tensor& dy, const Grad& dx_ND,
                                  const Grad& dw_VD) const {
  backward_kernel({saved.dx_ND, saved.dw_VD, dy, dx_ND, dw_VD});
}

}  // namespace granule
