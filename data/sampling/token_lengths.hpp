// How many bytes of text the tokens of a document have, so that a part of it can be measured.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace granule {

class TokenLengths {
 public:
  /// The lengths of the tokenizer in the directory. Absent if there is none, if it cannot be opened, or if it
  /// does not have this SHA-256. An absent or empty SHA-256 allows any.
  [[nodiscard]] static std::optional<TokenLengths> find(const std::filesystem::path& directory,
                                                        const std::optional<std::string>& sha256);

  /// UTF-8 bytes of the ids that begin a document.
  [[nodiscard]] std::int64_t bytes(std::span<const std::int32_t> ids) const;
  /// The same for ids that follow others.
  [[nodiscard]] std::int64_t bytes_inside(std::span<const std::int32_t> ids) const;

 private:
  std::vector<std::int32_t> of_id_;
  std::vector<bool> starts_with_space_;
  bool leading_space_ = false;  // a document's leading space is the tokenizer's and not the text's
};

}  // namespace granule
