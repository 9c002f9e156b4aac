#include "apps/models/carried_files.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCarried[] = {"tokenizer.model",
                                         "tokenizer.json",
                                         "tokenizer_config.json",
                                         "special_tokens_map.json",
                                         "added_tokens.json",
                                         "vocab.json",
                                         "vocab.txt",
                                         "merges.txt",
                                         kChatTemplateFile,
                                         "chat_template.json",
                                         "generation_config.json"};
/// The names may have any ending: LICENSE, LICENSE.txt, LICENSE-MODEL, README.md.
constexpr std::string_view kTexts[] = {"LICENSE", "LICENCE", "COPYING", "NOTICE", "USE_POLICY", "README"};

bool is_carried(const std::string& name) {
  const auto begins = [&](std::string_view text) { return name.starts_with(text); };
  return std::find(std::begin(kCarried), std::end(kCarried), name) != std::end(kCarried) ||
         std::any_of(std::begin(kTexts), std::end(kTexts), begins);
}

/// Files that an export writes anew, or that are not part of a model.
bool is_replaced(const std::string& name) {
  return name.starts_with(".") || name == "config.json" || name == "state.json" ||
         name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
}

}  // namespace

bool is_taken_over(const std::string& name) {
  return is_carried(name) && !name.starts_with("tokenizer") && !name.starts_with("README");
}

std::vector<fs::path> files_to_take_over(const fs::path& model) {
  std::vector<fs::path> files = carried_files(model).files;
  std::erase_if(files, [](const fs::path& file) { return !is_taken_over(file.filename().string()); });
  return files;
}

CarriedFiles carried_files(const fs::path& model) {
  CarriedFiles found;
  std::error_code error;
  for (fs::directory_iterator entry(model, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unreadable;
    if (entry->is_regular_file(unreadable) && is_carried(name)) {
      found.files.push_back(entry->path());
    } else if (entry->is_directory(unreadable) && name == kMoreChatTemplates) {
      found.directories.push_back(entry->path());
    } else if (!is_replaced(name)) {
      found.left.push_back(name);
    }
  }
  if (error)
    user_error(fmt::format("cannot list it: {}", error.message()), model.string(), "check the directory");
  std::sort(found.files.begin(), found.files.end());
  std::sort(found.left.begin(), found.left.end());
  return found;
}

}  // namespace granule
