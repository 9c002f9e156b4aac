#include "apps/generation/text_generator.hpp"

#include <optional>

#include "apps/generation/stop_texts.hpp"

namespace granule {

Prompt prompt_of(Tokenizer& tokenizer, std::string_view text, const TextStart& start) {
  Prompt prompt{.tokens = tokenizer.encode(text)};
  prompt.length = std::ssize(prompt.tokens);
  prompt.forgotten = start.seen_once && prompt.length == 0;
  if (!start.seen_once || prompt.length == 0) prompt.tokens.insert(prompt.tokens.begin(), start.token);
  return prompt;
}

std::string_view name_of(Finish finish) {
  switch (finish) {
    case Finish::eos:
      return "eos";
    case Finish::stop:
      return "stop";
    case Finish::max_tokens:
      return "max_tokens";
    case Finish::positions:
      break;
  }
  return "positions";
}

GeneratedText generate_text(Decoder& decoder, const Tokenizer& tokenizer, const Prompt& prompt,
                            const GenerationOptions& options,
                            const std::function<void(std::string_view)>& on_text) {
  TokenSampler sampler(options.sampling);
  TextStream characters(tokenizer, prompt.length == 0 ? TextPosition::document_start : TextPosition::inside);
  StopTexts stops(options.stops);
  GeneratedText done;
  const auto give = [&](const std::string& text) {
    if (!text.empty()) on_text(text);
    done.text += text;
  };
  // Appends a token. Returns why it is the last one.
  const auto take = [&](std::int32_t token) -> std::optional<Finish> {
    if (token == tokenizer.eos_id()) return Finish::eos;
    if (prompt.forgotten && done.tokens.empty()) decoder.forget();
    done.tokens.push_back(token);
    give(stops.add(characters.add(token)));
    if (stops.found()) return Finish::stop;
    if (std::ssize(done.tokens) == options.max_tokens) return Finish::max_tokens;
    if (decoder.length() == decoder.capacity()) return Finish::positions;
    return std::nullopt;
  };
  std::optional<Finish> finish;
  for (std::vector<std::int32_t> next = prompt.tokens; !finish; next = {done.tokens.back()}) {
    const std::vector<double> logits = decoder.feed(next);
    // Rows that pad the vocabulary have no token.
    finish = take(sampler.choose(std::span(logits).first(static_cast<std::size_t>(tokenizer.vocab_size()))));
    if (finish) break;
  }
  give(stops.add(characters.finish()));
  give(stops.finish());
  done.finish = *finish;
  return done;
}

}  // namespace granule
