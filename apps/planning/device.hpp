// What a machine can do, for machines that are not here: published figures, or given by hand.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace granule {

/// Of what one rank has to itself. Peaks: what a step reaches of them is Efficiencies.
struct DeviceFigures {
  std::string name;
  double flops = 0.0;          ///< multiply-adds a second count twice; at the plan's dtype
  double memory = 0.0;         ///< bytes
  double memory_rate = 0.0;    ///< bytes a second
  double node_rate = 0.0;      ///< bytes a second to ranks of the same node, one direction
  double network_rate = 0.0;   ///< bytes a second to other nodes, one direction
  std::int64_t node_size = 1;  ///< ranks
};

/// Shares of the peaks that a training step is taken to reach.
struct Efficiencies {
  double flops = 0.4, memory = 0.8, network = 0.7;
  double overlap = 0.0;  ///< share of the communication that hides behind computing
};

[[nodiscard]] const std::vector<std::string>& device_names();

/// Published figures of an accelerator at `dtype` (f32 without TF32), or "cpu": this machine, measured now
/// and shared evenly by `ranks` ranks. Throws a user error for another name.
[[nodiscard]] DeviceFigures device_figures(std::string_view name, DType dtype, std::int64_t ranks);

}  // namespace granule
