// Balance without a loss (DeepSeek-V3, arXiv 2412.19437; arXiv 2408.15664). A bias is added to the scores,
// for the choice alone. After each step it moves against the load.
#pragma once
#include "moe/model/model.hpp"
#include "moe/training/router_record.hpp"

namespace granule {

/// Computes b_e += γ sign(mean(c) − c_e) in every layer, where c are the choices of the whole step before
/// capacity, and γ is moe.bias_update_speed. A layer keeps its bias if γ is 0 or if it was not used.
void update_selection_bias(Model& model, const RouterRecord& record);

/// The name of a layer's bias, as in the Hugging Face files of DeepSeek-V3.
[[nodiscard]] std::string selection_bias_name(std::int64_t layer);

}  // namespace granule
