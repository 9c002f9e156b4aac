// A router that learns nothing: a token's id says where it goes (Hash Layers, Roller et al. 2021).
#pragma once
#include "moe/routing/router.hpp"

namespace granule {

/// K experts of each token by its id and moe.hash_seed, in every layer the same, each of weight
/// routed_scaling_factor / K. No gate, no balance loss.
class HashRouter {
 public:
  HashRouter(std::int64_t layer, const MoeConfig& moe) : layer_(layer), config_(moe) {}
  [[nodiscard]] Routes operator()(const Pass& pass, const Var& x_ND) const;

 private:
  std::int64_t layer_;
  MoeConfig config_;
};

}  // namespace granule
