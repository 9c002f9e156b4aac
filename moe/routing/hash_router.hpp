// A router that learns nothing: a token's id decides where it goes (Hash Layers, Roller et al. 2021).
#pragma once
#include "moe/routing/router.hpp"

namespace granule {

/// Each token has K experts, which depend on its id and moe.hash_seed and are the same in every layer. Each
/// has weight routed_scaling_factor / K. There is no gate and no balance loss.
class HashRouter {
 public:
  HashRouter(std::int64_t layer, const MoeConfig& moe, Routing routing = Routing::natural)
      : layer_(layer), config_(moe), routing_(routing) {}
  [[nodiscard]] Routes operator()(const Pass& pass, const Var& x_ND) const;

 private:
  std::int64_t layer_;
  MoeConfig config_;
  Routing routing_;
};

}  // namespace granule
