#include "moe/ops/permute.hpp"

#include <algorithm>

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

template <class T>
void gather(const Tensor& x, const Routing& routing, const Tensor& y) {
  const std::int64_t d = x.shape()[1];
  const auto* const token = routing.token_R.data<const std::int32_t>();
  parallel_chunks(x.context().pool(), routing.rows(), kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::copy_n(x.data<const T>() + token[r] * d, d, y.data<T>() + r * d);
    }
  });
}

/// out_n = Σ_k weight(n, k) rows_row(n,k) + beta out_n. Without weights, all weights are 1.
template <class T>
void sum_copies(const Tensor& rows, const Tensor* weight, const Routing& routing, const Grad& out) {
  const std::int64_t d = rows.shape()[1], k = routing.k;
  const auto* const place = routing.row_NK.data<const std::int32_t>();
  const T* const w = weight == nullptr ? nullptr : weight->data<const T>();
  const T* const from = rows.data<const T>();
  parallel_chunks(rows.context().pool(), routing.tokens, kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* const to = out.dst.data<T>() + n * d;
      if (out.beta == 0.0) std::fill_n(to, d, T(0));
      for (std::int64_t j = n * k; j < (n + 1) * k; ++j) {
        if (place[j] < 0) continue;
        const T* const row = from + place[j] * d;
        const T factor = w == nullptr ? T(1) : w[j];
        for (std::int64_t i = 0; i < d; ++i) to[i] += factor * row[i];
      }
    }
  });
}

/// The part of Combine's backward for one copy. Returns ⟨x, dy⟩.
template <class T>
T combine_backward_row(const T* x, const T* dy, T w, T* dx, double beta, std::int64_t d) {
  T dot = 0;
  for (std::int64_t i = 0; i < d; ++i) dot += x[i] * dy[i];
  for (std::int64_t i = 0; dx != nullptr && i < d; ++i) dx[i] = beta == 0.0 ? w * dy[i] : dx[i] + w * dy[i];
  return dot;
}

template <class T>
void combine_backward(const Combine::Saved& saved, const Tensor& dy, const Grad& dx, const Grad& dw) {
  const std::int64_t d = dy.shape()[1], k = saved.routing.k;
  const auto* const place = saved.routing.row_NK.data<const std::int32_t>();
  const T *const w = saved.w_NK.data<const T>(), *const x = saved.x_RD.data<const T>(),
                 *const g = dy.data<const T>();
  parallel_chunks(dy.context().pool(), saved.routing.tokens, kRows,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t j = begin * k; j < end * k; ++j) {
                      T dot = 0;  // stays 0 for a dropped copy
                      if (const std::int64_t row = place[j] * d; row >= 0) {
                        T* const dx_row = dx ? dx.dst.data<T>() + row : nullptr;
                        dot = combine_backward_row(x + row, g + j / k * d, w[j], dx_row, dx.beta, d);
                      }
                      if (dw) dw.dst.data<T>()[j] = dw.beta == 0.0 ? dot : dw.dst.data<T>()[j] + dot;
                    }
                  });
}

}  // namespace

Tensor Dispatch::forward(Saved* saved, const Tensor& x_ND, const Routing& routing) const {
  GRANULE_CHECK(x_ND.shape()[0] == routing.tokens, "dispatch: {} tokens, a routing of {}", x_ND.shape()[0],
                routing.tokens);
  Tensor y = x_ND.empty_like({routing.rows(), x_ND.shape()[1]});
  dispatch_float(x_ND.dtype(), [&]<class T>() { gather<T>(x_ND, routing, y); });
  if (saved != nullptr) *saved = {routing};
  return y;
}

void Dispatch::backward(const Saved& saved, const Tensor& dy_RD, Grad dx_ND) const {
  if (!dx_ND) return;
  dispatch_float(dy_RD.dtype(), [&]<class T>() { sum_copies<T>(dy_RD, nullptr, saved.routing, dx_ND); });
}

Tensor Combine::forward(Saved* saved, const Tensor& x_RD, const Tensor& w_NK, const Routing& routing) const {
  GRANULE_CHECK(x_RD.shape()[0] == routing.rows(), "combine: {} rows, a routing of {}", x_RD.shape()[0],
                routing.rows());
  Tensor y = x_RD.empty_like({routing.tokens, x_RD.shape()[1]});
  dispatch_float(x_RD.dtype(), [&]<class T>() { sum_copies<T>(x_RD, &w_NK, routing, {y, 0.0}); });
  if (saved != nullptr) *saved = {routing, x_RD, w_NK};
  return y;
}

void Combine::backward(const Saved& saved, const Tensor& dy_ND, const Grad& dx_RD, const Grad& dw_NK) const {
  dispatch_float(dy_ND.dtype(), [&]<class T>() { combine_backward<T>(saved, dy_ND, dx_RD, dw_NK); });
}

}  // namespace granule
