// Attention by the fused kernels of cuDNN, in bf16. It covers head sizes that are multiples of 8, up to what
// the architecture has engines for. core/ops/attention.cu computes the others.
#pragma once
#include <optional>

#include "core/ops/attention.hpp"

namespace granule::gpu {

/// Bytes of the workspace. Nothing if cuDNN does not compute this call. The first call with a shape makes its
/// plan, which takes seconds.
[[nodiscard]] std::optional<std::int64_t> fused_workspace(const Attention::ForwardArgs& args);
[[nodiscard]] std::optional<std::int64_t> fused_workspace(const Attention::BackwardArgs& args);

/// False if cuDNN does not compute this call. Then nothing was done.
[[nodiscard]] bool run_fused(const Attention::ForwardArgs& args, Workspace& workspace);
[[nodiscard]] bool run_fused(const Attention::BackwardArgs& args, Workspace& workspace);

}  // namespace granule::gpu
