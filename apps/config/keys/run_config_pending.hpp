// Keys and values that the config format names but this version does not build: known, and refused by name.
// Building one means deleting its row (and, for a key, adding it to apps/config/keys/run_config_keys.cpp).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {

struct PendingKey {
  enum class Rule : std::uint8_t {
    only,   ///< the key has no member in RunConfig; `value` alone is accepted, and means that the feature is
            ///< off
    never,  ///< the key is built except for `value`
  };
  std::string_view key;
  Rule rule = Rule::only;
  nlohmann::json value;
  std::string_view advice;  ///< what to do instead; empty: leave the key out
};

[[nodiscard]] const std::vector<PendingKey>& pending_keys();

/// Throws a user error when this value of this key is not built. Keys without a row pass.
void refuse_pending(std::string_view key, const nlohmann::json& value, std::string_view where);

/// Whether the key is known only as pending: a value that refuse_pending let pass has nothing to set.
[[nodiscard]] bool is_pending_only(std::string_view key);

}  // namespace granule
