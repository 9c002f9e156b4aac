// The keys whose value is a table or a list of tables.
#include <algorithm>

#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// The fields of one table. Each is an entry of its own, such as "data.mix[1].weight".
class Fields {
 public:
  /// Every name in the table must be one of `names`, and each of `names` must be in the table.
  Fields(const ConfigEntry& key, std::string name, const json& table, std::vector<std::string_view> names)
      : key_(key), name_(std::move(name)), table_(table) {
    std::string form;
    for (const std::string_view field : names)
      form += fmt::format("{}{} = …", form.empty() ? "" : ", ", field);
    if (!table.is_object()) wrong_type(entry("", table), fmt::format("a table, {{{}}}", form));
    for (const auto& [field, value] : table.items()) {
      if (std::find(names.begin(), names.end(), field) == names.end())
        user_error(fmt::format("unknown key '{}.{}'", name_, field), key.where,
                   fmt::format("its keys are {{{}}}", form));
    }
    for (const std::string_view field : names) {
      if (!table.contains(field))
        user_error(fmt::format("{}.{} is missing", name_, field), key.where,
                   fmt::format("write {{{}}}", form));
    }
  }
  [[nodiscard]] ConfigEntry operator[](std::string_view field) const {
    return entry(fmt::format(".{}", field), table_.at(std::string(field)));
  }

 private:
  [[nodiscard]] ConfigEntry entry(const std::string& field, const json& value) const {
    return {name_ + field, value, key_.where, {}, key_.base};
  }
  const ConfigEntry& key_;
  std::string name_;
  const json& table_;
};

void read_mix(RunConfig& config, const ConfigEntry& entry) {
  if (!entry.value.is_array()) wrong_type(entry, "a list, [{path = …, weight = …}, …]");
  std::vector<DataMix::Part> mix;
  for (std::size_t i = 0; i < entry.value.size(); ++i) {
    const Fields fields(entry, fmt::format("{}[{}]", entry.key, i), entry.value[i], {"path", "weight"});
    DataMix::Part part{path_of(fields["path"]),
                       number_of(fields["weight"], {0.0, 1e30, NumberRange::End::excluded})};
    if (part.directory.empty()) wrong_type(fields["path"], "the path of a directory");
    const auto same = [&](const DataMix::Part& other) { return other.directory == part.directory; };
    if (std::any_of(mix.begin(), mix.end(), same)) {
      user_error(fmt::format("{} is listed twice in {}", part.directory.string(), entry.key), entry.where,
                 "list each source once, with its weight");
    }
    mix.push_back(std::move(part));
  }
  config.data.mix = std::move(mix);
}

json mix_of(const RunConfig& config) {
  json list = json::array();
  for (const DataMix::Part& part : config.data.mix)
    list.push_back({{"path", part.directory.string()}, {"weight", part.weight}});
  return list;
}

using ScalingType = RopeScaling::Type;
constexpr std::pair<std::string_view, ScalingType> kScalings[] = {{"linear", ScalingType::linear},
                                                                  {"dynamic", ScalingType::dynamic}};
constexpr const char* kScalingForm = "{type = \"linear\" or \"dynamic\", factor = …}";

/// Newer versions of transformers write rope_type, or both names, and "default" for no scaling.
ConfigEntry with_one_type(ConfigEntry entry) {
  json& table = entry.value;
  if (!table.is_object() || !table.contains("rope_type")) return entry;
  if (table.value("type", table["rope_type"]) != table["rope_type"]) {
    user_error(fmt::format("{} has two types, {} and {}", entry.key, table["type"].dump(),
                           table["rope_type"].dump()),
               entry.where, "leave one of them out");
  }
  table["type"] = table["rope_type"];
  table.erase("rope_type");
  return entry;
}

/// The type says which fields there are, so it is judged before them.
ScalingType scaling_type_of(const ConfigEntry& entry) {
  const json& type = entry.value.at("type");
  if (type == "default" && entry.value.contains("factor")) {
    user_error(fmt::format("{} has a factor, but its type \"default\" scales nothing", entry.key),
               entry.where, "leave the factor out, or write \"linear\" or \"dynamic\" as the type");
  }
  return kScalings[choice_of({entry.key + ".type", type, entry.where, {}, entry.base}, {"linear", "dynamic"})]
      .second;
}

void read_rope_scaling(RunConfig& config, const ConfigEntry& written) {
  const ConfigEntry entry = with_one_type(written);
  config.model.rope_scaling = {};
  if (entry.value == "none" || entry.value == json{{"type", "default"}}) return;
  if (!entry.value.is_object()) wrong_type(entry, fmt::format("\"none\" or {}", kScalingForm));
  const ScalingType type = entry.value.contains("type") ? scaling_type_of(entry) : ScalingType::none;
  const Fields fields(entry, entry.key, entry.value, {"type", "factor"});
  config.model.rope_scaling = {type, number_of(fields["factor"], {1.0, 1e4, NumberRange::End::excluded})};
}

json rope_scaling_of(const RunConfig& config) {
  for (const auto& [name, type] : kScalings) {
    if (config.model.rope_scaling.type == type)
      return {{"type", name}, {"factor", config.model.rope_scaling.factor}};
  }
  return "none";
}

}  // namespace

ConfigKey rope_scaling_key() {
  return {"model.rope_scaling", ConfigKey::Trait::none, rope_scaling_of, read_rope_scaling};
}

ConfigKey mix_key() {
  return {"data.mix", ConfigKey::Trait::agreed, mix_of, read_mix};
}

}  // namespace granule
