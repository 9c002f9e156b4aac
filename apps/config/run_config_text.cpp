// Writes a RunConfig as TOML and as JSON. It uses the list of keys.
#include <cmath>

#include "apps/config/run_config.hpp"
#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

std::string toml_value(const json& value) {
  if (value.is_array()) {
    std::string list;
    for (const json& element : value) list += (list.empty() ? "" : ", ") + toml_value(element);
    return "[" + list + "]";
  }
  if (value.is_object()) {
    std::string table;
    for (const auto& [key, field] : value.items())
      table += fmt::format("{}{} = {}", table.empty() ? "" : ", ", key, toml_value(field));
    return "{" + table + "}";
  }
  if (value.is_number_float()) {
    const std::string text = fmt::format("{}", value.get<double>());  // the shortest that reads back the same
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  GRANULE_ASSERT(value.is_string() || value.is_boolean() || value.is_number_integer(), "config value {}",
                 value.dump());
  // JSON's strings escape a subset of what TOML's strings escape. Only DEL must be escaped in TOML and is not
  // in JSON.
  std::string text = value.dump();
  for (auto at = text.find('\x7f'); at != std::string::npos; at = text.find('\x7f'))
    text.replace(at, 1, "\\u007F");
  return text;
}

}  // namespace

std::string to_toml(const RunConfig& config) {
  std::string text;
  std::string_view table;
  for (const ConfigKey& key : config_keys()) {
    if (key.table() != table) {
      table = key.table();
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", table);
    }
    text += fmt::format("{} = {}\n", key.leaf(), toml_value(key.get(config)));
  }
  return text;
}

json to_json(const RunConfig& config) {
  json document = json::object();
  for (const ConfigKey& key : config_keys()) {
    document[std::string(key.table())][std::string(key.leaf())] = key.get(config);
  }
  return document;
}

}  // namespace granule
