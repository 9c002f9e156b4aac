#include "apps/models/generation_settings.hpp"

namespace granule {

using nlohmann::json;

json generation_settings(const json& config) {
  json document{{"_from_model_config", true}, {"transformers_version", "4.36.0"}};
  const std::size_t empty = document.size();
  for (const char* const key : {"bos_token_id", "eos_token_id"}) {
    if (const json id = config.value(key, json()); !id.is_null()) document[key] = id;
  }
  return document.size() > empty ? document : json();
}

}  // namespace granule
