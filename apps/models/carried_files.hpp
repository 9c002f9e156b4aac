// The files in a model's folder that are copied unchanged when the model is copied.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

inline constexpr std::string_view kChatTemplateFile = "chat_template.jinja";
inline constexpr std::string_view kMoreChatTemplates = "additional_chat_templates";  ///< a directory

struct CarriedFiles {
  std::vector<std::filesystem::path> files{};  ///< tokenizer, generation settings, chat template, licence
  std::vector<std::filesystem::path> directories{};  ///< with more chat templates
  /// The names of files that are not copied, except weights and config.json.
  std::vector<std::string> left{};
};

/// Works for a Hugging Face directory, a run or a checkpoint.
[[nodiscard]] CarriedFiles carried_files(const std::filesystem::path& model);

/// Whether a run may have taken a file of this name from the model that it started from.
[[nodiscard]] bool is_taken_over(const std::string& name);
/// The files of a model that a run takes over, because they also hold for the weights that it trains. The
/// tokenizer is not among them, because it comes from the data. A README is not either, because it describes
/// the old weights.
[[nodiscard]] std::vector<std::filesystem::path> files_to_take_over(const std::filesystem::path& model);

}  // namespace granule
