#include "tests/support/router_variants.hpp"

namespace granule::test {

std::vector<RouterVariant> router_variants() {
  std::vector<RouterVariant> variants;
  const auto add = [&](const std::string& name, void (*change)(MoeConfig&)) {
    variants.push_back({name, small_moe_config()});
    change(variants.back().moe);
  };
  add("softmax, as DeepSeekMoE", [](MoeConfig&) {});
  add("softmax, normalised and scaled", [](MoeConfig& c) {
    c.norm_topk_prob = true;
    c.routed_scaling_factor = 2.5;
  });
  add("softmax with groups, as DeepSeek-V2", [](MoeConfig& c) {
    c.n_group = 4;
    c.topk_group = 2;
    c.routed_scaling_factor = 16.0;
  });
  add("sigmoid with groups and bias, as DeepSeek-V3", [](MoeConfig& c) {
    c.scoring_func = ScoringFunction::sigmoid;
    c.norm_topk_prob = true;
    c.routed_scaling_factor = 2.5;
    c.n_group = 4;
    c.topk_group = 2;
    c.bias_update_speed = 0.001;
  });
  add("sigmoid alone", [](MoeConfig& c) { c.scoring_func = ScoringFunction::sigmoid; });
  add("softmax with bias", [](MoeConfig& c) { c.bias_update_speed = 0.001; });
  add("all losses at once", [](MoeConfig& c) {
    c.device_groups = 4;
    c.device_loss_alpha = 0.05;
    c.z_loss_alpha = 0.01;
  });
  add("token-level loss with sigmoid", [](MoeConfig& c) {
    c.seq_aux = false;
    c.scoring_func = ScoringFunction::sigmoid;
  });
  add("top-1, as Switch", [](MoeConfig& c) {
    c.num_experts_per_tok = 1;
    c.norm_topk_prob = true;
    c.n_shared_experts = 0;
  });
  add("capacity", [](MoeConfig& c) { c.capacity_factor = 0.75; });
  add("hash", [](MoeConfig& c) {
    c.router = RouterKind::hash;
    c.hash_seed = 5;
    c.aux_loss_alpha = 0.0;
  });
  add("hash with capacity", [](MoeConfig& c) {
    c.router = RouterKind::hash;
    c.hash_seed = 5;
    c.aux_loss_alpha = 0.0;
    c.capacity_factor = 0.5;
  });
  return variants;
}

}  // namespace granule::test
