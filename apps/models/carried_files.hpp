// Files beside the weights of a model that a copy of the model takes along as they are.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace granule {

struct CarriedFiles {
  std::vector<std::filesystem::path> files{};  ///< tokenizer, generation settings, chat template, licence
  std::vector<std::filesystem::path> directories{};  ///< of further chat templates
  std::vector<std::string> left{};  ///< names of what stays behind, but for weights and config.json
};

/// Of a Hugging Face directory, a run or a checkpoint.
[[nodiscard]] CarriedFiles carried_files(const std::filesystem::path& model);

/// Whether a file of this name may be one that a run took over from the model that it started from.
[[nodiscard]] bool is_taken_over(const std::string& name);
/// Those files of a model: they hold for the weights that it is trained into, too. The tokenizer is that of
/// the data, and a README speaks of the weights as they were.
[[nodiscard]] std::vector<std::filesystem::path> files_to_take_over(const std::filesystem::path& model);

}  // namespace granule
