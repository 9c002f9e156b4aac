// Continues a prompt with text.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/generation/decoder.hpp"
#include "apps/generation/text_start.hpp"
#include "apps/generation/token_sampler.hpp"

namespace granule {

/// What the model reads before it writes.
struct Prompt {
  std::vector<std::int32_t> tokens{};  ///< the prompt, after the start of a text if the model sees that
  std::int64_t length = 0;             ///< how many of them are the prompt
  bool forgotten = false;              ///< the second generated token does not see them
};
[[nodiscard]] Prompt prompt_of(Tokenizer& tokenizer, std::string_view text, const TextStart& start);

struct GenerationOptions {
  std::int64_t max_tokens = 256;
  SamplingOptions sampling{.temperature = 0.8};
  std::vector<std::string> stops{};
};

enum class Finish : std::uint8_t { eos, stop, max_tokens, positions };
/// Its name in JSON.
[[nodiscard]] std::string_view name_of(Finish finish);

struct GeneratedText {
  std::vector<std::int32_t> tokens{};  ///< all that were generated, without the EOS
  std::string text{};                  ///< ends before the stop
  Finish finish = Finish::eos;
};

/// Calls `on_text` with the text while it grows.
[[nodiscard]] GeneratedText generate_text(Decoder& decoder, const Tokenizer& tokenizer, const Prompt& prompt,
                                          const GenerationOptions& options,
                                          const std::function<void(std::string_view)>& on_text);

}  // namespace granule
