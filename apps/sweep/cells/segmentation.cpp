#include "apps/sweep/cells/segmentation.hpp"

#include "apps/config/config_reader.hpp"
#include "core/error.hpp"

namespace granule {

std::vector<ConfigEntry> segmented(const RunConfig& config, const ConfigEntry& segmentation) {
  constexpr std::int64_t kMost = 1024;
  const std::int64_t m = integer_of(segmentation, {1, kMost});
  const MoeConfig& moe = config.moe;
  if (m == 1) return {};
  if (moe.n_routed_experts == 0)
    user_error(fmt::format("moe.segmentation = {} splits the experts of a dense model", m),
               segmentation.where, "set moe.n_routed_experts, or give 1");
  if (moe.moe_intermediate_size % m != 0)
    user_error(
        fmt::format("moe.moe_intermediate_size = {} cannot be split in {}", moe.moe_intermediate_size, m),
        segmentation.where, "choose a width that it divides");
  const auto key = [&](const char* name, std::int64_t value) {
    return ConfigEntry{name, value, segmentation.where, {}, {}};
  };
  const std::int64_t shared = moe.n_shared_experts;
  return {key("moe.n_routed_experts", m * (moe.n_routed_experts + shared) - shared),
          key("moe.num_experts_per_tok", m * (moe.num_experts_per_tok + shared) - shared),
          key("moe.moe_intermediate_size", moe.moe_intermediate_size / m)};
}

}  // namespace granule
