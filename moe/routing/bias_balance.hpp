// Balance without a loss (DeepSeek-V3, arXiv 2412.19437; arXiv 2408.15664): a bias that is added to the
// scores for the choice alone moves against the load after each step.
#pragma once
#include "moe/model.hpp"
#include "moe/routing/router_record.hpp"

namespace granule {

/// b_e += γ sign(mean(c) − c_e) in every layer, c the choices of the whole step before capacity, γ =
/// moe.bias_update_speed. Nothing where it is 0, or where a layer was not used.
void update_selection_bias(Model& model, const RouterRecord& record);

/// The name of a layer's bias, that of the Hugging Face files of DeepSeek-V3.
[[nodiscard]] std::string selection_bias_name(std::int64_t layer);

}  // namespace granule
