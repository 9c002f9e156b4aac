// What a tokenizer puts around a text of its own accord when other programs call it: in a tokenizer.json a
// post-processor says so, and by Hugging Face's convention the tokenizer_config.json beside it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// Whether other programs put a BOS before a text by default: what add_bos_token in the config beside the
/// file says, else what a tokenizer.json does itself. Throws a user error for files that cannot be read.
[[nodiscard]] bool adds_bos(const std::filesystem::path& tokenizer);

struct BosToken {
  std::string name;
  std::int32_t id = 0;
};
/// Makes a tokenizer.json put this token before a text by default, or none, and nothing behind it. False when
/// it does already, and was left as it is.
bool set_bos(nlohmann::json& tokenizer, const std::optional<BosToken>& bos);

/// The digest that data and models compare tokenizers by: that of the file; of a tokenizer.json that set_bos
/// has changed, that of the file before, which the config beside it then holds.
[[nodiscard]] std::string tokenizer_digest(const std::filesystem::path& tokenizer);
/// Puts it there: `now` is the digest of the changed file.
void note_digest(nlohmann::json& config, const std::string& now, const std::string& before);

}  // namespace granule
