// Which tokens a tokenizer adds to a text by default, when other programs call it. The post-processor of a
// tokenizer.json says so. By Hugging Face's convention, so does the tokenizer_config.json in the same folder.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// Whether other programs add a BOS before a text by default. add_bos_token in the config of the same folder
/// decides, and without it the tokenizer.json itself. Throws a user error for files that cannot be read.
[[nodiscard]] bool adds_bos(const std::filesystem::path& tokenizer);

struct BosToken {
  std::string name;
  std::int32_t id = 0;
};
/// Makes a tokenizer.json add this token, or none, before a text by default, and nothing after it. Returns
/// false if the file did so already; it is then not changed.
bool set_bos(nlohmann::json& tokenizer, const std::optional<BosToken>& bos);

/// The digest by which data and models compare tokenizers. It is the digest of the file. If set_bos has
/// changed a tokenizer.json, it is the digest of the file before that, which the config in the same folder
/// has.
[[nodiscard]] std::string tokenizer_digest(const std::filesystem::path& tokenizer);
/// Writes that digest into the config. `now` is the digest of the changed file.
void note_digest(nlohmann::json& config, const std::string& now, const std::string& before);

}  // namespace granule
