// How many bytes of text the tokens of a document stand for, so that a part of it can be measured.
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
  /// Those of the tokenizer in the directory. Absent where there is none, where it cannot be opened, and
  /// where it is not the one with this SHA-256 (absent or empty: any).
  [[nodiscard]] static std::optional<TokenLengths> find(const std::filesystem::path& directory,
                                                        const std::optional<std::string>& sha256);

  /// UTF-8 bytes that the ids of a document stand for, from its beginning on.
  [[nodiscard]] std::int64_t bytes(std::span<const std::int32_t> ids) const;
  /// The same of ids that follow others.
  [[nodiscard]] std::int64_t bytes_inside(std::span<const std::int32_t> ids) const;

 private:
  std::vector<std::int32_t> of_id_;
  std::vector<bool> starts_with_space_;
  bool leading_space_ = false;  // of a document is the tokenizer's, not the text's
};

}  // namespace granule
