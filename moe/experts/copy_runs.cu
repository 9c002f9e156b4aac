#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "moe/experts/copy_runs.hpp"

namespace granule {
namespace {

using gpu::Pack;

constexpr int kRuns = 64;  // of one launch: the table is an argument, and arguments have at most 4 KiB

struct RunTable {
  int runs = 0;
  std::int64_t rows = 0;           // of all runs
  std::int64_t first[kRuns] = {};  // rows of the runs before
  std::int64_t from[kRuns] = {}, to[kRuns] = {};
};

/// There is one block for each row of the runs.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    copy_rows(RunTable table, const T* __restrict__ from, std::int64_t D, Wide<T> beta, T* to) {
  const std::int64_t row = blockIdx.x;
  int run = 0;
  while (run + 1 < table.runs && table.first[run + 1] <= row) ++run;
  const T* const source = from + (table.from[run] + row - table.first[run]) * D;
  T* const target = to + (table.to[run] + row - table.first[run]) * D;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x) {
    const Pack<T, kWidth> copied = gpu::load<kWidth>(source, p);
    if (beta == Wide<T>(0)) {
      gpu::store(target, p, copied);
      continue;
    }
    auto sum = gpu::wide(copied);
    const auto before = gpu::load_wide<kWidth>(target, p);
    for (int j = 0; j < kWidth; ++j) sum.value[j] += beta * before.value[j];
    gpu::store_rounded(target, p, sum);
  }
}

void copy_table(const CopyRunsArgs& args, const RunTable& table) {
  const std::int64_t D = args.from_RD.shape()[1];
  dispatch_storage(args.from_RD.dtype(), [&]<class T>() {
    const T* from = args.from_RD.data<const T>();
    T* to = args.to_RD.dst.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.from_RD), copy_rows<T, kWidth>,
                  {table.rows, 1, gpu::threads_for_row(D / kWidth)}, table, from, D, args.to_RD.beta, to);
    };
    gpu::dispatch_width<T>(D, launch, from, to);
  });
}

void copy_runs_cuda(const CopyRunsArgs& args) {
  RunTable table;
  for (const RowRun& run : args.runs) {
    if (run.rows == 0) continue;
    table.first[table.runs] = table.rows;
    table.from[table.runs] = run.from;
    table.to[table.runs++] = run.to;
    table.rows += run.rows;
    if (table.runs < kRuns) continue;
    copy_table(args, table);
    table = {};
  }
  if (table.runs > 0) copy_table(args, table);
}

const gpu::Kernels kernels([] {
  copy_runs_kernel.fill(DeviceType::cuda, copy_runs_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
