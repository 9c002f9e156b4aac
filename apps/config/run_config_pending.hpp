// Keys and values that the config format names but this version does not build. They are known, and refused
// by name. To build one, delete its row. For a key, also add it to apps/config/run_config_keys.cpp.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {

struct PendingKey {
  enum class Rule : std::uint8_t {
    /// The key has no member in RunConfig. Only `value` is accepted, which means that the feature is off.
    only,
    /// The key is built, except for `value`.
    never,
  };
  std::string_view key;
  Rule rule = Rule::only;
  nlohmann::json value;
  std::string_view advice;  ///< what to do instead; if empty, the message says to leave the key out
  /// Why a plug-in does not bring it on this machine; empty if it does. Without it, the value is not built.
  std::string (*missing)() = nullptr;
};

[[nodiscard]] const std::vector<PendingKey>& pending_keys();

/// Throws a user error if this value of this key is not built. Keys without a row pass.
void refuse_pending(std::string_view key, const nlohmann::json& value, std::string_view where);

/// Whether the key is known only as pending. If refuse_pending let its value pass, there is nothing to set.
[[nodiscard]] bool is_pending_only(std::string_view key);

}  // namespace granule
