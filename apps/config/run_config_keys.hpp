// The one list of the keys of a config. For each key it says how a RunConfig gets its value and gives it
// back. Reading, writing, comparing and documenting all use this list.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/config/config_reader.hpp"
#include "apps/config/run_config.hpp"

namespace granule {

struct ConfigKey {
  enum class Trait : std::uint8_t {
    none,
    shape,   ///< changes the shape or the presence of a parameter, so a loaded model fixes it
    layout,  ///< may differ when a run is resumed
    agreed,  ///< may differ when a run is resumed, if check_resumable() finds that it changes nothing
  };
  std::string_view name;  ///< "model.hidden_size"
  Trait trait = Trait::none;
  std::function<nlohmann::json(const RunConfig&)> get;
  std::function<void(RunConfig&, const ConfigEntry&)> set;  ///< throws a user error for a bad value

  [[nodiscard]] std::string_view table() const { return name.substr(0, name.find('.')); }
  [[nodiscard]] std::string_view leaf() const { return name.substr(name.find('.') + 1); }
};

/// All keys, in the order of the tables of docs/config.md.
[[nodiscard]] const std::vector<ConfigKey>& config_keys();

/// The keys whose value is a table or a list of tables.
[[nodiscard]] ConfigKey mix_key();
[[nodiscard]] ConfigKey rope_scaling_key();

/// Sets the key that the entry names. Unknown and pending keys are user errors.
void apply_entry(RunConfig& config, const ConfigEntry& entry);

}  // namespace granule
