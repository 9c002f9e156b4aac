#include "apps/generation/text_start.hpp"

#include "core/error.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {

TextStart text_start(const ModelFiles& files, const Tokenizer& tokenizer) {
  const auto bos = files.bos_of_documents();
  return {.token = bos.value_or(*tokenizer.eos_id()), .seen_once = files.config().data.document_mask && !bos};
}

std::unique_ptr<Tokenizer> text_tokenizer(const ModelFiles& files) {
  if (!files.tokenizer()) {
    user_error("the model has no tokenizer", files.path().string(),
               "put the tokenizer.model or tokenizer.json of its training data beside the weights");
  }
  auto tokenizer = open_tokenizer(*files.tokenizer());
  const std::int64_t pieces = tokenizer->vocab_size(), entries = files.config().model.vocab_size;
  if (pieces > entries) {
    user_error(fmt::format("the tokenizer has {} pieces, the model's vocabulary {}", pieces, entries),
               files.tokenizer()->string(), "give the model its own tokenizer");
  }
  if (!tokenizer->eos_id()) {
    user_error("the tokenizer has no end-of-text token, which documents follow in training",
               files.tokenizer()->string(), "use a tokenizer with one");
  }
  return tokenizer;
}

}  // namespace granule
