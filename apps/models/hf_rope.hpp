// Rotary positions as different versions of transformers write them into config.json, brought into one form.
#pragma once
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

struct RopeKeys {
  nlohmann::json document;  ///< without rope_parameters; rope_theta and rope_scaling say the same
  bool from_parameters = false;

  /// The name that the file uses for one of these two.
  [[nodiscard]] std::string_view written_name(std::string_view key) const;
};

/// Transformers 5 writes `rope_parameters` = {rope_theta, rope_type, factor, …}, or such a table for each
/// type of layer. Earlier versions wrote `rope_theta` and `rope_scaling`. If a file has both, they must
/// agree. What cannot be read, or contradicts itself, becomes a fault that the key of the run may correct.
[[nodiscard]] RopeKeys old_rope_keys(nlohmann::json document, std::string_view where,
                                     std::vector<ConfigFault>& faults);

}  // namespace granule
