// How often each token occurs in a text, and which tokens are frequent enough to be told apart by expert.
#pragma once
#include <cstdint>
#include <vector>

#include "data/sampling/token_source.hpp"

namespace granule {

/// An expert must have chosen a token at least so often before the token counts as one of its own.
inline constexpr std::int64_t kLeastOfToken = 5;

class TokenFrequencies {
 public:
  /// Of the first `tokens` tokens of a source, which it reads once. At most `rows` tokens are frequent: those
  /// that occur most often, kLeastOfToken times or more.
  TokenFrequencies(const TokenSource& source, std::int64_t tokens, std::int64_t vocab_size,
                   std::int64_t rows);

  [[nodiscard]] std::int64_t count(std::int64_t id) const { return count_[static_cast<std::size_t>(id)]; }
  /// The ids of the frequent tokens, the most frequent first.
  [[nodiscard]] const std::vector<std::int64_t>& frequent() const { return frequent_; }
  /// The place of an id among them; −1 if it is not one of them.
  [[nodiscard]] std::int64_t row(std::int64_t id) const { return row_[static_cast<std::size_t>(id)]; }

 private:
  std::vector<std::int64_t> count_, frequent_;
  std::vector<std::int32_t> row_;
};

}  // namespace granule
