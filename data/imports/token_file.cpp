#include "data/imports/token_file.hpp"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "data/imports/megatron_index.hpp"
#include "data/imports/raw.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

// llm.c's header: 256 int32, of which the first three are used.
constexpr std::size_t kLlmcHeader = 1024;
struct LlmcVersion {
  std::int32_t magic = 0, version = 0;
  TokenType type = TokenType::u16;
};
constexpr std::array<LlmcVersion, 2> kLlmcVersions{
    {{20240520, 1, TokenType::u16}, {20240801, 7, TokenType::u32}}};

const LlmcVersion* llmc_version_of(std::span<const std::byte> file) {
  if (file.size() < 8) return nullptr;
  for (const LlmcVersion& known : kLlmcVersions) {
    if (raw<std::int32_t>(file, 0) == known.magic && raw<std::int32_t>(file, 4) == known.version)
      return &known;
  }
  return nullptr;
}

}  // namespace

std::int64_t size_of(TokenType type) {
  constexpr std::array<std::int64_t, 7> kSizes{1, 1, 2, 2, 4, 4, 8};
  return kSizes.at(static_cast<std::size_t>(type));
}

TokenFile::TokenFile(fs::path path, MappedFile file, std::size_t header, TokenType type)
    : path_(std::move(path)), file_(std::move(file)), ids_(file_.bytes().subspan(header)), type_(type) {
  const auto size = std::ssize(ids_);
  if (size % size_of(type) != 0) {
    user_error(fmt::format("{} bytes of ids, which are {} bytes each", size, size_of(type)), path_.string(),
               "the file is cut short or of another kind");
  }
  bounds_ = {0, size / size_of(type)};
  if (size == 0) bounds_.pop_back();
}

TokenFile TokenFile::open(TokenFormat format, const fs::path& path, const DocumentMarks& marks) {
  if (format == TokenFormat::megatron) return open_megatron(path);
  TokenFile file = format == TokenFormat::llmc ? open_llmc(path) : open_nanogpt(path);
  file.cut_at(marks);
  return file;
}

TokenFile TokenFile::open_megatron(const fs::path& path) {
  fs::path stem = path;
  if (path.extension() == ".bin" || path.extension() == ".idx") stem.replace_extension();
  const fs::path bin = stem.string() + ".bin", idx = stem.string() + ".idx";
  const MappedFile index_file(idx);
  MegatronIndex index = read_megatron_index(index_file.bytes(), idx);
  TokenFile file(bin, MappedFile(bin), 0, index.type);
  if (file.tokens() != index.document_bounds.back()) {
    user_error(fmt::format("{} tokens, the index counts {}", file.tokens(), index.document_bounds.back()),
               bin.string(), "the file is cut short, or not the index's");
  }
  file.bounds_ = std::move(index.document_bounds);
  return file;
}

TokenFile TokenFile::open_llmc(const fs::path& path) {
  MappedFile file(path);
  const auto bytes = file.bytes();
  const LlmcVersion* const version = llmc_version_of(bytes);
  if (version == nullptr || bytes.size() < kLlmcHeader) {
    user_error(
        "not a token file of llm.c: it begins otherwise than magic 20240520 version 1 (uint16) or "
        "20240801 version 7 (uint32)",
        path.string(), "raw ids without a header are --format nanogpt");
  }
  const auto wanted = raw<std::int32_t>(bytes, 8);
  TokenFile tokens(path, std::move(file), kLlmcHeader, version->type);
  if (tokens.tokens() != wanted) {
    user_error(fmt::format("{} tokens, its header says {}", tokens.tokens(), wanted), path.string(),
               "the file is cut short or damaged");
  }
  return tokens;
}

TokenFile TokenFile::open_nanogpt(const fs::path& path) {
  MappedFile file(path);
  if (llmc_version_of(file.bytes()) != nullptr)
    user_error("this is a file of llm.c, with a header", path.string(), "give --format llmc");
  return {path, std::move(file), 0, TokenType::u16};
}

std::int64_t TokenFile::id(std::int64_t token) const {
  const auto at = static_cast<std::size_t>(token * size_of(type_));
  switch (type_) {
    case TokenType::u8:
      return raw<std::uint8_t>(ids_, at);
    case TokenType::i8:
      return raw<std::int8_t>(ids_, at);
    case TokenType::u16:
      return raw<std::uint16_t>(ids_, at);
    case TokenType::i16:
      return raw<std::int16_t>(ids_, at);
    case TokenType::u32:
      return raw<std::uint32_t>(ids_, at);
    case TokenType::i32:
      return raw<std::int32_t>(ids_, at);
    case TokenType::i64:
      return raw<std::int64_t>(ids_, at);
  }
  return -1;
}

void TokenFile::cut_at(const DocumentMarks& marks) {
  if (!marks.start && !marks.end) return;
  const std::int64_t wanted = marks.start ? *marks.start : *marks.end;
  const std::int64_t count = tokens();
  std::vector<std::int64_t> bounds{0};
  for (std::int64_t token = 0; token < count; ++token) {
    if (id(token) != wanted) continue;
    const std::int64_t bound = marks.start ? token : token + 1;
    if (bound > 0 && bound < count) bounds.push_back(bound);
  }
  if (count > 0) bounds.push_back(count);
  bounds_ = std::move(bounds);
}

std::vector<std::int32_t> TokenFile::document(std::int64_t index, std::int64_t vocab_size) const {
  const auto begin = bounds_.at(static_cast<std::size_t>(index));
  const auto end = bounds_.at(static_cast<std::size_t>(index) + 1);
  std::vector<std::int32_t> ids;
  ids.reserve(static_cast<std::size_t>(end - begin));
  for (std::int64_t token = begin; token < end; ++token) {
    const std::int64_t value = id(token);
    if (value < 0 || value >= vocab_size) {
      user_error(fmt::format("token {} has id {}, outside the vocabulary of {}", token, value, vocab_size),
                 path_.string(), "check --vocab-size and --format");
    }
    ids.push_back(static_cast<std::int32_t>(value));
  }
  return ids;
}

}  // namespace granule
