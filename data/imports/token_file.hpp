// Token files of other programs, opened and checked: Megatron's pairs of .bin and .idx, llm.c's .bin,
// nanoGPT's .bin. It gives the ids and where documents begin, and does not know what becomes of the
// documents.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/files/files.hpp"

namespace granule {

enum class TokenFormat : std::uint8_t { megatron, llmc, nanogpt };

/// Where files without an index are cut into documents. With neither mark a file is one document.
struct DocumentMarks {
  std::optional<std::int32_t> start;  ///< cut before each of these ids
  std::optional<std::int32_t> end;    ///< cut after each of these ids, if there is no start
};

enum class TokenType : std::uint8_t { u8, i8, u16, i16, u32, i32, i64 };
[[nodiscard]] std::int64_t size_of(TokenType type);
/// The largest id that the type can represent.
[[nodiscard]] std::int64_t largest_of(TokenType type);

/// It knows where documents begin but has no ids. A TokenReader reads the ids.
class TokenFile {
 public:
  /// Checks that the file is complete, and reads where its documents begin. For a pair of Megatron, give
  /// either file, or the name without its ending. Throws a user error that names the file.
  [[nodiscard]] static TokenFile open(TokenFormat format, const std::filesystem::path& path,
                                      const DocumentMarks& marks);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }  ///< the file with the ids
  [[nodiscard]] TokenType type() const { return type_; }
  [[nodiscard]] std::int64_t tokens() const { return bounds_.back(); }
  /// n + 1 rising token numbers, from 0: where the documents begin, and the end. A document may be empty.
  [[nodiscard]] std::span<const std::int64_t> bounds() const { return bounds_; }

 private:
  friend class TokenReader;
  TokenFile(std::filesystem::path path, std::int64_t bytes, std::int64_t header, TokenType type);
  [[nodiscard]] static TokenFile open_megatron(const std::filesystem::path& path);
  [[nodiscard]] static TokenFile open_llmc(const std::filesystem::path& path);
  [[nodiscard]] static TokenFile open_nanogpt(const std::filesystem::path& path);
  void cut_at(const DocumentMarks& marks);

  std::filesystem::path path_;
  std::int64_t header_ = 0;  // bytes before the ids
  TokenType type_ = TokenType::u16;
  std::vector<std::int64_t> bounds_;
};

/// Reads the ids of a file through a window, so that no file is too large for memory.
class TokenReader {
 public:
  explicit TokenReader(const TokenFile& file);
  /// Ids from token `begin` on, at least one and none after `end`. They are valid until the next call.
  [[nodiscard]] std::span<const std::int64_t> ids(std::int64_t begin, std::int64_t end);

 private:
  void load(std::int64_t begin);

  const TokenFile& file_;
  PieceReader reader_;
  std::int64_t begin_ = 0;  // first token of the window
  std::vector<std::int64_t> window_;
  std::vector<std::byte> bytes_;
};

}  // namespace granule
