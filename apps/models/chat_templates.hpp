// The chat templates of a model: texts that say how a chat becomes one prompt.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

namespace granule {

inline constexpr std::string_view kDefaultChatTemplate = "default";

/// The templates in a model's directory by name. The one that programs use unless they are told otherwise has
/// the name kDefaultChatTemplate. They come from `chat_template` of tokenizer_config.json, and, with more
/// right, from chat_template.jinja and additional_chat_templates/NAME.jinja, as in Hugging Face's
/// transformers. Throws a user error for a `chat_template` of another form.
[[nodiscard]] std::map<std::string, std::string> chat_templates_in(const std::filesystem::path& directory);

}  // namespace granule
