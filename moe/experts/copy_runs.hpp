// Copies of runs of rows from one tensor to another.
#pragma once
#include <span>

#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// `rows` consecutive rows, from row `from` of one tensor to row `to` of another.
struct RowRun {
  std::int64_t from, to, rows;
};

/// Copies the runs of from_RD. With beta 1 it adds them to the rows of the destination. The runs of a call
/// have no row of the destination in common.
void copy_runs(const Tensor& from_RD, std::span<const RowRun> runs, const Grad& to_RD);

/// The runs are in host memory.
struct CopyRunsArgs {
  Tensor from_RD;
  std::span<const RowRun> runs;
  Grad to_RD;
};
extern KernelSlot<CopyRunsArgs> copy_runs_kernel;

/// The runs from where they go to where they come from.
[[nodiscard]] std::vector<RowRun> reversed(std::vector<RowRun> runs);

}  // namespace granule
