#include "data/sampling/token_lengths.hpp"

#include "core/error.hpp"
#include "data/open_tokenizer.hpp"
#include "data/sampling/token_source.hpp"

namespace granule {

std::optional<TokenLengths> TokenLengths::find(const std::filesystem::path& directory,
                                               const std::optional<std::string>& sha256) {
  const auto file = find_tokenizer(directory);
  if (!file) return std::nullopt;
  TokenLengths lengths;
  try {
    const auto tokenizer = open_tokenizer(*file);
    if (sha256 && !sha256->empty() && *sha256 != tokenizer->sha256()) return std::nullopt;
    lengths.leading_space_ = tokenizer->adds_leading_space();
    for (std::int64_t id = 0; id < tokenizer->vocab_size(); ++id) {
      const std::string bytes = tokenizer->token_bytes(static_cast<std::int32_t>(id));
      lengths.of_id_.push_back(static_cast<std::int32_t>(bytes.size()));
      lengths.starts_with_space_.push_back(bytes.starts_with(' '));
    }
  } catch (const Error&) {
    return std::nullopt;  // a model can also be evaluated without a tokenizer
  }
  return lengths;
}

std::int64_t TokenLengths::bytes_inside(std::span<const std::int32_t> ids) const {
  std::int64_t sum = 0;
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < std::ssize(of_id_)) sum += of_id_[static_cast<std::size_t>(id)];
  }
  return sum;
}

std::int64_t TokenLengths::bytes(std::span<const std::int32_t> ids) const {
  if (ids.empty()) return 0;
  const std::int32_t first = ids.front();
  const bool added = leading_space_ && first >= 0 && first < std::ssize(of_id_) &&
                     starts_with_space_[static_cast<std::size_t>(first)];
  return bytes_inside(ids) - (added ? 1 : 0);
}

}  // namespace granule
