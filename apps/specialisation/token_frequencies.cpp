#include "apps/specialisation/token_frequencies.hpp"

#include <algorithm>

namespace granule {

TokenFrequencies::TokenFrequencies(const TokenSource& source, std::int64_t tokens, std::int64_t vocab_size,
                                   std::int64_t rows)
    : count_(static_cast<std::size_t>(vocab_size)), row_(static_cast<std::size_t>(vocab_size), -1) {
  constexpr std::int64_t kPiece = 1 << 16;
  std::vector<std::int32_t> ids;
  for (std::int64_t at = 0; at < tokens; at += std::ssize(ids)) {
    ids.resize(static_cast<std::size_t>(std::min(kPiece, tokens - at)));
    source.read(at, ids);
    for (const std::int32_t id : ids) ++count_.at(static_cast<std::size_t>(id));
  }
  for (std::int64_t id = 0; id < vocab_size; ++id) {
    if (count(id) >= kLeastOfToken) frequent_.push_back(id);
  }
  std::ranges::stable_sort(frequent_, [&](std::int64_t a, std::int64_t b) { return count(a) > count(b); });
  frequent_.resize(static_cast<std::size_t>(std::min(rows, std::ssize(frequent_))));
  for (std::size_t i = 0; i < frequent_.size(); ++i)
    row_[static_cast<std::size_t>(frequent_[i])] = static_cast<std::int32_t>(i);
}

}  // namespace granule
