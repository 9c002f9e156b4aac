#include "apps/models/chat_templates.hpp"

#include <nlohmann/json.hpp>

#include "apps/models/carried_files.hpp"
#include "data/files/files.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Templates = std::map<std::string, std::string>;

/// One template, or a list of templates with names.
void add_of_config(const fs::path& file, Templates& templates) {
  const nlohmann::json said = load_json_object(file);
  const JsonField config(said, file.string(), "correct it, or remove it");
  if (!config.has("chat_template")) return;
  const JsonField field = config.at("chat_template");
  if (!field.json().is_array()) {
    templates[std::string(kDefaultChatTemplate)] = field.text();
    return;
  }
  for (std::size_t i = 0; i < field.list_size(); ++i) {
    const JsonField element = field.element(i);
    templates[element.at("name").text()] = element.at("template").text();
  }
}

}  // namespace

Templates chat_templates_in(const fs::path& directory) {
  Templates templates;
  const fs::path config = directory / kTokenizerConfigFile, whole = directory / kChatTemplateFile;
  std::error_code error;
  if (fs::is_regular_file(config, error)) add_of_config(config, templates);
  for (fs::directory_iterator entry(directory / kMoreChatTemplates, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".jinja")
      templates[entry->path().stem().string()] = read_file(entry->path());
  }
  if (fs::is_regular_file(whole, error)) templates[std::string(kDefaultChatTemplate)] = read_file(whole);
  return templates;
}

}  // namespace granule
