// What a model sees before a text that it continues or scores. In training, a document follows the end of the
// previous one and sees that end. If attention stays inside documents, it sees only its own BOS, if it has
// one.
#pragma once
#include <cstdint>
#include <memory>

#include "apps/models/model_files.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

struct TextStart {
  std::int32_t token = 0;
  /// Only the first token of the text is predicted from it. The others do not see it.
  bool seen_once = false;
};

/// The BOS if the documents of training began with it, as in other programs. Else the EOS.
[[nodiscard]] TextStart text_start(const ModelFiles& files, const Tokenizer& tokenizer);

/// The tokenizer of a model that reads or writes text. Throws a user error if there is none, if it has more
/// pieces than the model's vocabulary, or if it has no EOS.
[[nodiscard]] std::unique_ptr<Tokenizer> text_tokenizer(const ModelFiles& files);

}  // namespace granule
