#include "moe/experts/copy_runs.hpp"

#include <algorithm>

namespace granule {
namespace {

template <class T>
void copy(const CopyRunsArgs& args) {
  const std::int64_t d = args.from_RD.shape()[1];
  const T* const from = args.from_RD.data<const T>();
  T* const to = args.to_RD.dst.data<T>();
  const bool add = args.to_RD.beta != 0.0;
  args.from_RD.context().pool().run(std::ssize(args.runs), [&](std::int64_t i) {
    const RowRun& run = args.runs[static_cast<std::size_t>(i)];
    const T* const source = from + run.from * d;
    T* const target = to + run.to * d;
    for (std::int64_t j = 0; add && j < run.rows * d; ++j)
      target[j] = static_cast<T>(widened(target[j]) + widened(source[j]));
    if (!add) std::copy_n(source, run.rows * d, target);
  });
}

void copy_runs_cpu(const CopyRunsArgs& args) {
  dispatch_storage(args.from_RD.dtype(), [&]<class T>() { copy<T>(args); });
}

}  // namespace

constinit KernelSlot<CopyRunsArgs> copy_runs_kernel{"copy_runs", copy_runs_cpu};

void copy_runs(const Tensor& from_RD, std::span<const RowRun> runs, const Grad& to_RD) {
  copy_runs_kernel({from_RD, runs, to_RD});
}

std::vector<RowRun> reversed(std::vector<RowRun> runs) {
  for (RowRun& run : runs) std::swap(run.from, run.to);
  return runs;
}

}  // namespace granule
