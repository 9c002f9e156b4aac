#include "moe/ops/router_z.hpp"

#include <algorithm>
#include <vector>

#include "core/kernels/softmax.hpp"
#include "moe/routing/valid_tokens.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

template <class T>
void log_sums(const Tensor& logits, double* z) {
  const std::int64_t e = logits.shape()[1];
  parallel_chunks(logits.context().pool(), logits.shape()[0], kRows,
                  [&](std::int64_t begin, std::int64_t end) {
                    std::vector<T> row(static_cast<std::size_t>(e));
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::copy_n(logits.data<const T>() + i * e, e, row.begin());
                      z[i] = softmax_row(row.data(), e, T(1));
                    }
                  });
}

template <class T>
void backward_cpu(const RouterZ::Saved& saved, double dy, const Grad& dlogit) {
  const std::int64_t e = saved.logit_NE.shape()[1];
  const T* const logits = saved.logit_NE.data<const T>();
  const double* const z = saved.z_N.data<const double>();
  T* const out = dlogit.dst.data<T>();
  parallel_chunks(saved.logit_NE.context().pool(), saved.logit_NE.shape()[0], kRows,
                  [&](std::int64_t begin, std::int64_t end) {
                    std::vector<T> row(static_cast<std::size_t>(e));
                    for (std::int64_t i = begin; i < end; ++i) {
                      std::copy_n(logits + i * e, e, row.begin());
                      softmax_row_again(row.data(), e, T(1), static_cast<T>(z[i]));
                      const double share = is_valid(saved.valid_N, i) ? 1.0 / double(saved.tokens) : 0.0;
                      const T scale = static_cast<T>(2.0 * dy * z[i] * share);
                      for (std::int64_t j = 0; j < e; ++j) {
                        const T d = scale * row[static_cast<std::size_t>(j)];
                        out[i * e + j] = dlogit.beta == 0.0 ? d : out[i * e + j] + d;
                      }
                    }
                  });
}

}  // namespace

Tensor RouterZ::forward(Saved* saved, const Tensor& logit_NE, const Tensor& valid_N) const {
  const std::int64_t n = logit_NE.shape()[0];
  const Tensor z = Tensor::empty(logit_NE.context(), {n}, DType::f64);
  dispatch_float(logit_NE.dtype(), [&]<class T>() { log_sums<T>(logit_NE, z.data<double>()); });
  const std::int64_t tokens = count_valid(valid_N, n);
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = z.data<const double>()[i];
    if (is_valid(valid_N, i)) sum += value * value;
  }
  Tensor y = Tensor::empty(logit_NE.context(), {1}, DType::f64);
  *y.data<double>() = tokens > 0 ? sum / static_cast<double>(tokens) : 0.0;
  if (saved != nullptr) *saved = {logit_NE, valid_N, z, tokens};
  return y;
}

void RouterZ::backward(const Saved& saved, const Tensor& dy, const Grad& dlogit_NE) const {
  if (!dlogit_NE) return;
  dispatch_float(saved.logit_NE.dtype(),
                 [&]<class T>() { backward_cpu<T>(saved, dy.item<double>(), dlogit_NE); });
}

}  // namespace granule
