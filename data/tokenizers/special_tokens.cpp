#include "data/tokenizers/special_tokens.hpp"

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kOwnKey = "granule_tokenizer";

bool is_json(const fs::path& tokenizer) {
  return tokenizer.extension() == ".json";
}

/// Null if there is none.
Json config_beside(const fs::path& tokenizer) {
  const fs::path config = tokenizer.parent_path() / kTokenizerConfigFile;
  std::error_code error;
  return fs::exists(config, error) ? load_json_object(config) : Json();
}

std::string type_of(const Json& processor) {
  return processor.is_object() ? processor.value("type", std::string()) : std::string();
}

/// Calls `visit` for each processor that adds tokens around a text. The processors of a Sequence are visited
/// in order.
template <class Visit>
void each_adding(const Json& processor, Visit&& visit) {
  const std::string type = type_of(processor);
  if (type == "Sequence") {
    for (const Json& part : processor.value("processors", Json::array())) each_adding(part, visit);
  } else if (type == "TemplateProcessing" || type == "BertProcessing" || type == "RobertaProcessing") {
    visit(processor);
  }
}

/// The tokens that a processor adds before a text and after it.
struct Around {
  std::vector<std::string> before, after;
};

Around tokens_around(const Json& file) {
  Around around;
  each_adding(file.value("post_processor", Json()), [&](const Json& processor) {
    if (type_of(processor) != "TemplateProcessing") {  // [CLS] text [SEP]
      around.before.push_back(processor.at("cls").at(0).get<std::string>());
      around.after.push_back(processor.at("sep").at(0).get<std::string>());
      return;
    }
    std::vector<std::string>* side = &around.before;
    for (const Json& piece : processor.at("single")) {
      if (piece.contains("Sequence")) side = &around.after;
      if (piece.contains("SpecialToken"))
        side->push_back(piece.at("SpecialToken").at("id").get<std::string>());
    }
  });
  return around;
}

/// The processor without the parts that add tokens. Null if nothing is left.
Json without_adding(const Json& processor) {
  const std::string type = type_of(processor);
  if (type == "TemplateProcessing" || type == "BertProcessing" || type == "RobertaProcessing") return nullptr;
  if (type != "Sequence") return processor;
  Json kept = processor;
  kept["processors"] = Json::array();
  for (const Json& part : processor.value("processors", Json::array())) {
    const Json rest = without_adding(part);
    if (!rest.is_null()) kept["processors"].push_back(rest);
  }
  if (kept["processors"].empty()) return nullptr;
  return kept;
}

Json template_for(const BosToken& bos) {
  const auto token = [&](int type) { return Json{{"SpecialToken", {{"id", bos.name}, {"type_id", type}}}}; };
  const auto text = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {token(0), text("A", 0)}},
          {"pair", {token(0), text("A", 0), token(1), text("B", 1)}},
          {"special_tokens", {{bos.name, {{"id", bos.name}, {"ids", {bos.id}}, {"tokens", {bos.name}}}}}}};
}

}  // namespace

bool adds_bos(const fs::path& tokenizer) {
  const Json config = config_beside(tokenizer);
  if (config.is_object() && config.contains("add_bos_token")) {
    const JsonField field(config, (tokenizer.parent_path() / kTokenizerConfigFile).string(), "correct it");
    return field.has("add_bos_token") && field.at("add_bos_token").flag();
  }
  if (!is_json(tokenizer)) return false;
  try {
    return !tokens_around(load_json_object(tokenizer)).before.empty();
  } catch (const Json::exception&) {
    user_error("the post_processor is not understood", tokenizer.string(), "get the file again");
  }
}

bool set_bos(Json& tokenizer, const std::optional<BosToken>& bos) {
  const Around around = tokens_around(tokenizer);
  const std::vector<std::string> wanted = bos ? std::vector{bos->name} : std::vector<std::string>{};
  if (around.before == wanted && around.after.empty()) return false;
  Json rest = without_adding(tokenizer.value("post_processor", Json()));
  if (bos) {
    const Json adding = template_for(*bos);
    rest = rest.is_null() ? adding : Json{{"type", "Sequence"}, {"processors", {rest, adding}}};
  }
  tokenizer["post_processor"] = rest;
  return true;
}

std::string tokenizer_digest(const fs::path& tokenizer) {
  const std::string digest = sha256_of_file(tokenizer);
  if (!is_json(tokenizer)) return digest;
  const Json config = config_beside(tokenizer);
  const auto note = config.is_object() ? config.find(kOwnKey) : config.end();
  if (!config.is_object() || note == config.end() || !note->is_object()) return digest;
  if (note->value("sha256", Json()) != digest || !note->value("made_from_sha256", Json()).is_string())
    return digest;
  return note->at("made_from_sha256").get<std::string>();
}

void note_digest(Json& config, const std::string& now, const std::string& before) {
  config[kOwnKey] = {{"sha256", now}, {"made_from_sha256", before}};
}

}  // namespace granule
