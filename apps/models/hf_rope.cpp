#include "apps/models/hf_rope.hpp"

#include <algorithm>

namespace granule {
namespace {

using nlohmann::json;

constexpr const char* kParameters = "rope_parameters";

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Collects the faults of one file.
class Faults {
 public:
  Faults(std::string_view where, std::vector<ConfigFault>& faults) : where_(where), faults_(faults) {}
  void add(const std::string& key, const std::string& what, std::string_view advice) {
    faults_.push_back({key, Error(ExitCode::user, what, where_, advice)});
  }

 private:
  std::string where_;
  std::vector<ConfigFault>& faults_;
};

void drop_nulls(json& table) {
  for (auto item = table.begin(); item != table.end();)
    item = item->is_null() ? table.erase(item) : std::next(item);
}

/// Removes fields that change nothing. What is left must be understood.
json without_neutral_fields(json table, const json& document) {
  if (!table.is_object()) return table;
  drop_nulls(table);
  const auto drop = [&](const char* key, const json& neutral) {
    if (const auto found = table.find(key); found != table.end() && *found == neutral) table.erase(found);
  };
  drop("partial_rotary_factor", 1);
  drop("original_max_position_embeddings", document.value("max_position_embeddings", json()));
  const json type = table.value("rope_type", table.value("type", json()));
  const bool known = type == "linear" || type == "dynamic" || type == "default";
  if (known && table.value("factor", json()) == 1 && table.size() == 2) return json();
  if (table.empty() || table == json{{"rope_type", "default"}} || table == json{{"type", "default"}})
    return json();
  return table;
}

bool is_by_layer_type(const json& parameters) {
  const auto is_table = [](const json& value) { return value.is_object(); };
  const auto may_be = [](const json& value) { return value.is_object() || value.is_null(); };
  return std::any_of(parameters.begin(), parameters.end(), is_table) &&
         std::all_of(parameters.begin(), parameters.end(), may_be);
}

/// The table that all layer types of the model share. Absent if they differ.
std::optional<json> common_table(const json& by_type, const json& layer_types) {
  std::optional<json> common;
  for (const auto& [type, table] : by_type.items()) {
    const bool used = !layer_types.is_array() ||
                      std::find(layer_types.begin(), layer_types.end(), json(type)) != layer_types.end();
    if (!used || table.is_null()) continue;
    if (common && *common != table) return std::nullopt;
    common = table;
  }
  return common;
}

void settle_theta(json& document, json theta, Faults& faults) {
  const json old = document.value("rope_theta", json());
  if (theta.is_null()) {
    if (old.is_null()) document.erase("rope_theta");
  } else if (!old.is_null() && old != theta) {
    faults.add(
        "model.rope_theta",
        fmt::format("rope_theta = {}, but {}.rope_theta = {}", text_of(old), kParameters, text_of(theta)),
        "correct one of them in config.json, or set model.rope_theta");
  } else {
    document["rope_theta"] = std::move(theta);
  }
}

void settle_scaling(json& document, json scaling, Faults& faults) {
  const json old = document.value("rope_scaling", json());
  const auto form = [](json table) {  // "type" and "rope_type" mean the same
    if (table.is_object() && table.contains("rope_type")) table["type"] = table["rope_type"];
    if (table.is_object()) table.erase("rope_type");
    return table;
  };
  if (!old.is_null() && form(old) != form(scaling)) {
    faults.add("model.rope_scaling",
               fmt::format("rope_scaling = {}, but {} = {}", text_of(old), kParameters, text_of(scaling)),
               "correct one of them in config.json, or set model.rope_scaling");
  }
  document["rope_scaling"] = std::move(scaling);
}

}  // namespace

std::string_view RopeKeys::written_name(std::string_view key) const {
  if (!from_parameters) return key;
  if (key == "rope_scaling") return kParameters;
  return key == "rope_theta" ? "rope_parameters.rope_theta" : key;
}

RopeKeys old_rope_keys(json document, std::string_view where, std::vector<ConfigFault>& place) {
  Faults faults(where, place);
  if (document.contains("rope_scaling") && document["rope_scaling"].is_object())
    document["rope_scaling"] = without_neutral_fields(document["rope_scaling"], document);
  json parameters = document.value(kParameters, json());
  document.erase(kParameters);
  if (parameters.is_null()) return {std::move(document), false};
  if (parameters.is_object() && is_by_layer_type(parameters)) {
    const auto common = common_table(parameters, document.value("layer_types", json()));
    if (!common) {
      faults.add("model.rope_scaling",
                 fmt::format("{} = {} is not the same for all layers", kParameters, text_of(parameters)),
                 "models whose layers all rotate positions in the same way can be read");
      return {std::move(document), true};
    }
    parameters = *common;
  }
  if (!parameters.is_object()) {
    faults.add("model.rope_scaling", fmt::format("{} = {} is not a table", kParameters, text_of(parameters)),
               "restore config.json");
    return {std::move(document), true};
  }
  drop_nulls(parameters);
  settle_theta(document, parameters.value("rope_theta", json()), faults);
  parameters.erase("rope_theta");
  settle_scaling(document, without_neutral_fields(std::move(parameters), document), faults);
  return {std::move(document), true};
}

}  // namespace granule
