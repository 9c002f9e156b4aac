// Fine-grained expert segmentation: every expert is split in m, and a token uses m times as many of them.
// Source: DeepSeekMoE, equations 6 to 11 (arXiv 2401.06066).
#pragma once
#include <vector>

#include "apps/config/run_config.hpp"

namespace granule {

/// The keys that `moe.segmentation = m` sets, from the config without it. Shared experts are counted as the
/// paper does: they are among the experts that are split and that a token uses, and their number stays. With
/// N experts in all, K of which a token uses, and S of both shared, there are then mN − S routed experts. A
/// token uses mK − S of them, and an expert has 1/m of the width. Parameters stay equal, but for the router.
/// Throws a user error if the model has no experts or their width cannot be divided.
[[nodiscard]] std::vector<ConfigEntry> segmented(const RunConfig& config, const ConfigEntry& segmentation);

}  // namespace granule
