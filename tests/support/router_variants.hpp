// One MoE layer of every kind that a configuration can ask for, small enough for a test.
#pragma once
#include <string>
#include <vector>

#include "moe/model/moe_layer.hpp"
#include "tests/support/small_model.hpp"

namespace granule::test {

struct RouterVariant {
  std::string name;
  MoeConfig moe;
};
[[nodiscard]] std::vector<RouterVariant> router_variants();

}  // namespace granule::test
