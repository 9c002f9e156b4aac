// Token files of other programs, opened and checked: ids and where documents begin. Megatron's pairs of .bin
// and .idx, llm.c's .bin, nanoGPT's .bin. What becomes of the documents is not known here.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/files/files.hpp"

namespace granule {

enum class TokenFormat : std::uint8_t { megatron, llmc, nanogpt };

/// Where files without an index are cut into documents; with neither a file is one document.
struct DocumentMarks {
  std::optional<std::int32_t> start;  ///< before each of these ids
  std::optional<std::int32_t> end;    ///< else behind each of these
};

enum class TokenType : std::uint8_t { u8, i8, u16, i16, u32, i32, i64 };
[[nodiscard]] std::int64_t size_of(TokenType type);

class TokenFile {
 public:
  /// Checks that the file is whole, and reads where its documents begin. Of Megatron's pair either file may
  /// be named, or both without their ending. Throws a user error that names the file.
  [[nodiscard]] static TokenFile open(TokenFormat format, const std::filesystem::path& path,
                                      const DocumentMarks& marks);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }  ///< of the ids
  [[nodiscard]] std::int64_t tokens() const { return bounds_.back(); }
  [[nodiscard]] std::int64_t documents() const { return std::ssize(bounds_) - 1; }
  /// The ids of one document, maybe none. Throws a user error for one outside [0, vocab_size).
  [[nodiscard]] std::vector<std::int32_t> document(std::int64_t index, std::int64_t vocab_size) const;

 private:
  TokenFile(std::filesystem::path path, MappedFile file, std::size_t header, TokenType type);
  [[nodiscard]] static TokenFile open_megatron(const std::filesystem::path& path);
  [[nodiscard]] static TokenFile open_llmc(const std::filesystem::path& path);
  [[nodiscard]] static TokenFile open_nanogpt(const std::filesystem::path& path);
  [[nodiscard]] std::int64_t id(std::int64_t token) const;
  void cut_at(const DocumentMarks& marks);

  std::filesystem::path path_;
  MappedFile file_;
  std::span<const std::byte> ids_;
  TokenType type_ = TokenType::u16;
  std::vector<std::int64_t> bounds_;  // n + 1 rising token numbers, from 0 to the end
};

}  // namespace granule
