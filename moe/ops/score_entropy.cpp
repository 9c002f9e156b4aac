#include "moe/ops/score_entropy.hpp"

#include <numeric>

#include "core/kernels/entropy.hpp"
#include "moe/ops/valid_tokens.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 64;  // rows of one task

std::int64_t tasks_of(const ScoreEntropyArgs& args) {
  return (args.score_NE.shape()[0] + kRows - 1) / kRows;
}

/// The workspace has the sum of each task.
void entropy_cpu(const ScoreEntropyArgs& args, Workspace& workspace) {
  const std::int64_t n = args.score_NE.shape()[0], e = args.score_NE.shape()[1], tasks = tasks_of(args);
  auto* const sums = workspace.take<double>(tasks);
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    const T* const scores = args.score_NE.data<const T>();
    parallel_chunks(args.score_NE.context().pool(), n, kRows, [&](std::int64_t begin, std::int64_t end) {
      double sum = 0.0;
      for (std::int64_t i = begin; i < end; ++i) {
        if (is_valid(args.valid_N, i)) sum += entropy_row(scores + i * e, e);
      }
      sums[begin / kRows] = sum;
    });
  });
  *args.entropy.data<double>() = std::accumulate(sums, sums + tasks, 0.0);
}
std::int64_t entropy_workspace(const ScoreEntropyArgs& args, int /*threads*/) {
  return workspace_bytes({{tasks_of(args), DType::f64}});
}

}  // namespace

constinit KernelSlot<ScoreEntropyArgs> score_entropy_kernel{"score_entropy", entropy_cpu, entropy_workspace};

Tensor score_entropy(const Tensor& score_NE, const Tensor& valid_N) {
  Tensor entropy = Tensor::empty(score_NE.context(), {1}, DType::f64);
  score_entropy_kernel({score_NE, valid_N, entropy});
  return entropy;
}

}  // namespace granule
