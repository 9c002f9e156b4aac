// What a machine can do, for machines that are not available. The figures are published ones, or the user
// gives them.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace granule {

/// What one rank has for itself. Rates are peaks; Efficiencies says how much of them a step reaches.
struct DeviceFigures {
  std::string name;
  double flops = 0.0;          ///< operations a second at the plan's dtype; a multiply-add counts twice
  double memory = 0.0;         ///< bytes
  double memory_rate = 0.0;    ///< bytes a second
  double node_rate = 0.0;      ///< bytes a second to ranks of the same node, one direction
  double network_rate = 0.0;   ///< bytes a second to other nodes, one direction
  double host_rate = 0.0;      ///< bytes a second to the memory of the host, one direction
  std::int64_t node_size = 1;  ///< ranks in a node
};

/// Shares of the peaks that a training step is assumed to reach.
struct Efficiencies {
  double flops = 0.4, memory = 0.8, network = 0.7;
  double overlap = 0.0;  ///< share of the communication that overlaps with computing
};

[[nodiscard]] const std::vector<std::string>& device_names();

/// The published figures of an accelerator at `dtype` (f32 without TF32). For "cpu", the figures of this
/// machine, measured now and divided evenly among `ranks` ranks. Throws a user error for another name.
[[nodiscard]] DeviceFigures device_figures(std::string_view name, DType dtype, std::int64_t ranks);

/// Operations a second at `dtype` of the first GPU that the CUDA plug-in finds. Absent if there is none, or
/// no published figures of it are known here.
[[nodiscard]] std::optional<double> peak_of_gpu(DType dtype);

}  // namespace granule
