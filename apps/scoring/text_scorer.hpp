// How likely a text is to a model, token by token.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "apps/generation/decoder.hpp"
#include "apps/generation/text_start.hpp"

namespace granule {

struct TokenScore {
  double logprob = 0.0;    ///< natural logarithm of the probability, over the model's whole vocabulary
  bool likeliest = false;  ///< greedy decoding would have chosen this token
};

class TextScorer {
 public:
  /// Texts have at most `longest` tokens. The tokenizer has `pieces` pieces.
  TextScorer(Context& context, const Model& model, TextStart start, std::int64_t pieces,
             std::int64_t longest);

  /// The scores of tokens [from, end), each given the start and all tokens before it. Throws a user error if
  /// a logit is not finite.
  ///
  /// A text that does not fit the model's positions is read in windows. A token of a later window is
  /// predicted from the half window before it, or more. If tokens before `from` do not fit, the first of them
  /// are left out.
  ///
  /// What the text and the one before have in common up to `from` is not computed again.
  [[nodiscard]] std::vector<TokenScore> score(std::span<const std::int32_t> tokens, std::size_t from = 0);

 private:
  void score_rest(std::span<const std::int32_t> sequence, std::size_t from, std::vector<TokenScore>& scores);
  /// Makes the model see tokens and scores what follows each from number `from` on.
  void feed(std::span<const std::int32_t> tokens, std::size_t from, std::span<const std::int32_t> targets,
            std::vector<TokenScore>& scores);
  [[nodiscard]] TokenScore score_of(std::span<const double> logits, std::int32_t token) const;

  TextStart start_;
  std::int64_t pieces_;
  Decoder decoder_;
  std::vector<std::int32_t> seen_;  // by the model
};

}  // namespace granule
