// What `granule eval` is asked to leave out of a model, as it was typed.
#pragma once
#include <optional>
#include <string>

#include "apps/config/run_config.hpp"
#include "moe/routing/routing_pass.hpp"

namespace granule {

struct AblationRequest {
  std::optional<std::string> mask_top_experts{};  ///< a share R of all routed experts: "0.0625" or "1/16"
  SharedExperts shared = SharedExperts::used;
  bool sets_experts_per_token = false;  ///< whether moe.num_experts_per_tok is among the overrides

  /// R; 0 if nothing is to be masked. Throws a user error unless it is a number with 0 ≤ R < 1.
  [[nodiscard]] double masked_share() const;
};

/// The experts to leave out of a model of this config. Without shared experts a token activates one routed
/// expert more, unless the number is set; `config` is changed accordingly. If R · E is not whole, the nearest
/// number of experts is masked, and stderr says so. Throws a user error if the model cannot do without these
/// experts.
[[nodiscard]] Ablation take_ablation(const AblationRequest& request, RunConfig& config);

}  // namespace granule
