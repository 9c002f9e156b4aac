#include "moe/ops/permute.hpp"

#include <algorithm>

#include "core/kernels/dot_rows.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

void gather_cpu(const Dispatch::ForwardArgs& args) {
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() {
    const std::int64_t d = args.x_ND.shape()[1];
    const auto* const token = args.token_R.data<const std::int32_t>();
    const T* const x = args.x_ND.data<const T>();
    T* const y = args.y_RD.data<T>();
    parallel_chunks(args.x_ND.context().pool(), args.token_R.numel(), kRows,
                    [=](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t r = begin; r < end; ++r) std::copy_n(x + token[r] * d, d, y + r * d);
                    });
  });
}

/// Columns of a row that are summed at once, in the wide type.
constexpr std::int64_t kColumns = 256;

/// to[0, n) = Σ_j w_j x[place_j · d, … + n) + beta to, in the order of j. Places below 0 are dropped.
template <class T>
void sum_copies_of_row(const T* x, const std::int32_t* place, const Wide<T>* w, std::int64_t k,
                       std::int64_t d, std::int64_t n, double beta, T* to) {
  Wide<T> sum[kColumns];
  for (std::int64_t c = 0; c < n; ++c) sum[c] = beta == 0.0 ? Wide<T>(0) : widened(to[c]);
  for (std::int64_t j = 0; j < k; ++j) {
    if (place[j] < 0) continue;
    const T* const row = x + place[j] * d;
    const Wide<T> factor = w == nullptr ? Wide<T>(1) : w[j];
    for (std::int64_t c = 0; c < n; ++c) sum[c] += factor * widened(row[c]);
  }
  for (std::int64_t c = 0; c < n; ++c) to[c] = static_cast<T>(sum[c]);
}

void sum_copies_cpu(const SumCopiesArgs& args) {
  dispatch_storage(args.x_RD.dtype(), [&]<class T>() {
    const std::int64_t n = args.row_NK.shape()[0], k = args.row_NK.shape()[1], d = args.x_RD.shape()[1];
    const auto* const place = args.row_NK.data<const std::int32_t>();
    const Wide<T>* const w = args.w_NK.defined() ? args.w_NK.data<const Wide<T>>() : nullptr;
    const T* const x = args.x_RD.data<const T>();
    T* const y = args.y_ND.dst.data<T>();
    const double beta = args.y_ND.beta;
    parallel_chunks(args.x_RD.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t c = 0; c < d; c += kColumns)
          sum_copies_of_row(x + c, place + i * k, w == nullptr ? nullptr : w + i * k, k, d,
                            std::min(kColumns, d - c), beta, y + i * d + c);
      }
    });
  });
}

/// The part of Combine's backward for one copy. Returns ⟨x, dy⟩.
template <class T>
Wide<T> combine_backward_row(const T* x, const T* dy, Wide<T> w, T* dx, double beta, std::int64_t d) {
  const Wide<T> product = dot(x, dy, d);
  for (std::int64_t i = 0; dx != nullptr && i < d; ++i) {
    const Wide<T> gradient = w * widened(dy[i]);
    dx[i] = static_cast<T>(beta == 0.0 ? gradient : widened(dx[i]) + gradient);
  }
  return product;
}

void combine_backward_cpu(const Combine::BackwardArgs& args) {
  dispatch_storage(args.dy_ND.dtype(), [&]<class T>() {
    using W = Wide<T>;
    const std::int64_t n = args.row_NK.shape()[0], k = args.row_NK.shape()[1], d = args.dy_ND.shape()[1];
    const auto* const place = args.row_NK.data<const std::int32_t>();
    const T *const x = args.x_RD.data<const T>(), *const g = args.dy_ND.data<const T>();
    const W* const w = args.w_NK.data<const W>();
    T* const dx = args.dx_RD ? args.dx_RD.dst.data<T>() : nullptr;
    W* const dw = args.dw_NK ? args.dw_NK.dst.data<W>() : nullptr;
    const double dx_beta = args.dx_RD.beta, dw_beta = args.dw_NK.beta;
    parallel_chunks(args.dy_ND.context().pool(), n, kRows, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin * k; j < end * k; ++j) {
        W gradient = 0;  // stays 0 for a dropped copy
        if (const std::int64_t row = place[j] * d; row >= 0) {
          T* const dx_row = dx != nullptr ? dx + row : nullptr;
          gradient = combine_backward_row(x + row, g + j / k * d, w[j], dx_row, dx_beta, d);
        }
        if (dw != nullptr) dw[j] = dw_beta == 0.0 ? gradient : dw[j] + gradient;
      }
    });
  });
}

}  // namespace

constinit KernelSlot<Dispatch::ForwardArgs> Dispatch::forward_kernel{"dispatch", gather_cpu};
constinit KernelSlot<SumCopiesArgs> sum_copies_kernel{"sum_copies", sum_copies_cpu};
constinit KernelSlot<Combine::BackwardArgs> Combine::backward_kernel{"combine backward",
                                                                     combine_backward_cpu};

Tensor Dispatch::forward(Saved* saved, const Tensor& x_ND, const RowOrder& order) const {
  GRANULE_CHECK(x_ND.shape()[0] == order.tokens, "dispatch: {} tokens, an order of {}", x_ND.shape()[0],
                order.tokens);
  Tensor y_RD = x_ND.empty_like({order.rows(), x_ND.shape()[1]});
  forward_kernel({x_ND, order.token_R, y_RD});
  if (saved != nullptr) *saved = {order};
  return y_RD;
}

void Dispatch::backward(const Saved& saved, const Tensor& dy_RD, const Grad& dx_ND) const {
  if (dx_ND) sum_copies_kernel({dy_RD, {}, saved.order.row_NK, dx_ND});
}

Tensor Combine::forward(Saved* saved, const Tensor& x_RD, const Tensor& w_NK, const RowOrder& order) const {
  GRANULE_CHECK(x_RD.shape()[0] == order.rows(), "combine: {} rows, an order of {}", x_RD.shape()[0],
                order.rows());
  Tensor y_ND = x_RD.empty_like({order.tokens, x_RD.shape()[1]});
  sum_copies_kernel({x_RD, w_NK, order.row_NK, {y_ND, 0.0}});
  if (saved != nullptr) *saved = {order, x_RD, w_NK};
  return y_ND;
}

void Combine::backward(const Saved& saved, const Tensor& dy_ND, const Grad& dx_RD, const Grad& dw_NK) const {
  backward_kernel({saved.x_RD, saved.w_NK, saved.order.row_NK, dy_ND, dx_RD, dw_NK});
}

}  // namespace granule
