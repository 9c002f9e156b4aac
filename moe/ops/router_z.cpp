#include "moe/ops/router_z.hpp"

#include <algorithm>

#include "core/kernels/softmax.hpp"
#include "moe/ops/valid_tokens.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

/// The workspace has a row of logits for each thread.
void forward_cpu(const RouterZ::ForwardArgs& args, Workspace& workspace) {
  const std::int64_t n = args.logit_NE.shape()[0], e = args.logit_NE.shape()[1];
  ThreadPool& pool = args.logit_NE.context().pool();
  auto* const z = args.z_N.data<double>();
  dispatch_float(args.logit_NE.dtype(), [&]<class T>() {
    const T* const logits = args.logit_NE.data<const T>();
    T* const rows = workspace.take<T>(pool.size() * e);
    parallel_chunks(pool, n, kRows, [&](std::int64_t begin, std::int64_t end) {
      T* const row = rows + ThreadPool::thread_index() * e;
      for (std::int64_t i = begin; i < end; ++i) {
        std::copy_n(logits + i * e, e, row);
        z[i] = softmax_row(row, e, T(1));
      }
    });
  });
  const std::int64_t tokens = count_valid(args.valid_N, n);
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (is_valid(args.valid_N, i)) sum += z[i] * z[i];
  }
  *args.y.data<double>() = tokens > 0 ? sum / static_cast<double>(tokens) : 0.0;
}
std::int64_t forward_workspace(const RouterZ::ForwardArgs& args, int threads) {
  return workspace_bytes({{threads * args.logit_NE.shape()[1], args.logit_NE.dtype()}});
}

/// The workspace has a row of logits for each thread.
void backward_cpu(const RouterZ::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t n = args.logit_NE.shape()[0], e = args.logit_NE.shape()[1];
  ThreadPool& pool = args.logit_NE.context().pool();
  const auto* const z = args.z_N.data<const double>();
  const double dy = *args.dy.data<const double>(),
               token_share = 1.0 / static_cast<double>(count_valid(args.valid_N, n));
  dispatch_float(args.logit_NE.dtype(), [&]<class T>() {
    const T* const logits = args.logit_NE.data<const T>();
    T *const out = args.dlogit_NE.dst.data<T>(), *const rows = workspace.take<T>(pool.size() * e);
    parallel_chunks(pool, n, kRows, [&](std::int64_t begin, std::int64_t end) {
      T* const row = rows + ThreadPool::thread_index() * e;
      for (std::int64_t i = begin; i < end; ++i) {
        std::copy_n(logits + i * e, e, row);
        softmax_row_again(row, e, T(1), static_cast<T>(z[i]));
        const T scale = static_cast<T>(2.0 * dy * z[i] * (is_valid(args.valid_N, i) ? token_share : 0.0));
        for (std::int64_t j = 0; j < e; ++j) {
          const T d = scale * row[j];
          out[i * e + j] = args.dlogit_NE.beta == 0.0 ? d : out[i * e + j] + d;
        }
      }
    });
  });
}
std::int64_t backward_workspace(const RouterZ::BackwardArgs& args, int threads) {
  return workspace_bytes({{threads * args.logit_NE.shape()[1], args.logit_NE.dtype()}});
}

}  // namespace

constinit KernelSlot<RouterZ::ForwardArgs> RouterZ::forward_kernel{"router_z", forward_cpu,
                                                                   forward_workspace};
constinit KernelSlot<RouterZ::BackwardArgs> RouterZ::backward_kernel{"router_z backward", backward_cpu,
                                                                     backward_workspace};

Tensor RouterZ::forward(Saved* saved, const Tensor& logit_NE, const Tensor& valid_N) const {
  Context& context = logit_NE.context();
  const Tensor z_N = Tensor::empty(context, {logit_NE.shape()[0]}, DType::f64);
  Tensor y = Tensor::empty(context, {1}, DType::f64);
  forward_kernel({logit_NE, valid_N, z_N, y});
  if (saved != nullptr) *saved = {logit_NE, valid_N, z_N};
  return y;
}

void RouterZ::backward(const Saved& saved, const Tensor& dy, const Grad& dlogit_NE) const {
  if (dlogit_NE) backward_kernel({saved.logit_NE, saved.valid_N, saved.z_N, dy, dlogit_NE});
}

}  // namespace granule
