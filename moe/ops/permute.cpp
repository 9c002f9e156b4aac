#include "moe/ops/permute.hpp"

#include "core/kernels/dot_rows.hpp"
#include "core/kernels/fetch_row.hpp"
#include "core/kernels/weighted_rows.hpp"

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
                      for (std::int64_t r = begin; r < end; ++r)
                        scale_row(x + token[r] * d, Wide<T>(1), d, 0.0, y + r * d);
                      finish_rows();
                    });
  });
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
        for (std::int64_t j = (i + 1) * k; i + 1 < end && j < (i + 2) * k; ++j)
          if (place[j] >= 0) fetch_row(x + place[j] * d, d);
        sum_weighted_rows<T>({x, d, place + i * k, k}, w == nullptr ? nullptr : w + i * k, d, beta,
                             y + i * d);
      }
    });
  });
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
        if (j + 1 < end * k && place[j + 1] >= 0) fetch_row(x + place[j + 1] * d, d);
        if (const std::int64_t row = place[j] * d; row >= 0) {
          const T* const dy = g + j / k * d;
          gradient = dot(x + row, dy, d);
          if (dx != nullptr) scale_row(dy, w[j], d, dx_beta, dx + row);
        }
        if (dw != nullptr) dw[j] = dw_beta == 0.0 ? gradient : dw[j] + gradient;
      }
      finish_rows();
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
