#include "data/imports/token_file.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/error.hpp"
#include "data/imports/file_kind.hpp"
#include "data/imports/megatron_index.hpp"
#include "data/imports/raw.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWindow = std::int64_t{1} << 18;  // in tokens

// llm.c's header is 256 int32, of which the first three are used.
constexpr std::int64_t kLlmcHeader = 1024;
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

std::vector<std::byte> head_of(const fs::path& path, std::int64_t& size) {
  const PieceReader file(path);
  size = file.size();
  std::vector<std::byte> head(static_cast<std::size_t>(std::min<std::int64_t>(size, kFileHead)));
  file.read(0, head);
  return head;
}

/// Calls body.operator()<T>() for the type of the ids.
template <class Body>
auto dispatch(TokenType type, Body&& body) {
  switch (type) {
    case TokenType::u8:
      return body.template operator()<std::uint8_t>();
    case TokenType::i8:
      return body.template operator()<std::int8_t>();
    case TokenType::u16:
      return body.template operator()<std::uint16_t>();
    case TokenType::i16:
      return body.template operator()<std::int16_t>();
    case TokenType::u32:
      return body.template operator()<std::uint32_t>();
    case TokenType::i32:
      return body.template operator()<std::int32_t>();
    default:
      return body.template operator()<std::int64_t>();
  }
}

}  // namespace

std::int64_t size_of(TokenType type) {
  return dispatch(type, []<class T>() -> std::int64_t { return sizeof(T); });
}

std::int64_t largest_of(TokenType type) {
  return dispatch(type, []<class T>() -> std::int64_t { return std::numeric_limits<T>::max(); });
}

TokenFile::TokenFile(fs::path path, std::int64_t bytes, std::int64_t header, TokenType type)
    : path_(std::move(path)), header_(header), type_(type) {
  const std::int64_t size = bytes - header;
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
  MegatronIndex index = read_megatron_index(MappedFile(idx).bytes(), idx);
  std::int64_t bytes = 0;
  const std::vector<std::byte> head = head_of(bin, bytes);
  const std::int64_t wanted = index.document_bounds.back();
  if (bytes != wanted * size_of(index.type)) refuse_known_kinds(head, bytes, bin);
  TokenFile file(bin, bytes, 0, index.type);
  if (file.tokens() != wanted) {
    user_error(fmt::format("{} tokens, the index counts {}", file.tokens(), wanted), bin.string(),
               "the file is cut short, or not the index's");
  }
  file.bounds_ = std::move(index.document_bounds);
  return file;
}

TokenFile TokenFile::open_llmc(const fs::path& path) {
  std::int64_t bytes = 0;
  const std::vector<std::byte> head = head_of(path, bytes);
  const LlmcVersion* const version = llmc_version_of(head);
  if (version == nullptr || bytes < kLlmcHeader) {
    if (version == nullptr) refuse_known_kinds(head, bytes, path);
    user_error(
        "not a token file of llm.c: it does not begin with magic 20240520 version 1 (uint16) or "
        "20240801 version 7 (uint32)",
        path.string(), "raw ids without a header are --format nanogpt");
  }
  const auto wanted = raw<std::int32_t>(head, 8);
  TokenFile tokens(path, bytes, kLlmcHeader, version->type);
  if (tokens.tokens() != wanted) {
    user_error(fmt::format("{} tokens, its header says {}", tokens.tokens(), wanted), path.string(),
               "the file is cut short or damaged");
  }
  return tokens;
}

TokenFile TokenFile::open_nanogpt(const fs::path& path) {
  std::int64_t bytes = 0;
  const std::vector<std::byte> head = head_of(path, bytes);
  refuse_llmc(head, path);
  refuse_known_kinds(head, bytes, path);
  refuse_text(head, path);
  TokenFile file(path, bytes, 0, TokenType::u16);
  if (file.tokens() > 0) refuse_wider_ids(TokenReader(file).ids(0, file.tokens()), path);
  return file;
}

void TokenFile::cut_at(const DocumentMarks& marks) {
  if (!marks.start && !marks.end) return;
  const std::int64_t wanted = marks.start ? *marks.start : *marks.end;
  const std::int64_t count = tokens();
  TokenReader reader(*this);
  std::vector<std::int64_t> bounds{0};
  for (std::int64_t begin = 0; begin < count;) {
    for (const std::int64_t id : reader.ids(begin, count)) {
      const std::int64_t bound = marks.start ? begin : begin + 1;
      if (id == wanted && bound > 0 && bound < count) bounds.push_back(bound);
      ++begin;
    }
  }
  if (count > 0) bounds.push_back(count);
  bounds_ = std::move(bounds);
}

TokenReader::TokenReader(const TokenFile& file) : file_(file), reader_(file.path()) {}

void TokenReader::load(std::int64_t begin) {
  const std::int64_t count = std::min(kWindow, file_.tokens() - begin), size = size_of(file_.type());
  bytes_.resize(static_cast<std::size_t>(count * size));
  reader_.read(file_.header_ + begin * size, bytes_);
  window_.resize(static_cast<std::size_t>(count));
  dispatch(file_.type(), [&]<class T>() {
    for (std::size_t i = 0; i < window_.size(); ++i)
      window_[i] = static_cast<std::int64_t>(raw<T>(bytes_, i * sizeof(T)));
  });
  begin_ = begin;
}

std::span<const std::int64_t> TokenReader::ids(std::int64_t begin, std::int64_t end) {
  GRANULE_CHECK(begin >= 0 && begin < end && end <= file_.tokens(), "tokens [{}, {}) of {}", begin, end,
                file_.tokens());
  if (begin < begin_ || begin >= begin_ + std::ssize(window_)) load(begin);
  const std::int64_t stop = std::min(end, begin_ + std::ssize(window_));
  return std::span(window_).subspan(static_cast<std::size_t>(begin - begin_),
                                    static_cast<std::size_t>(stop - begin));
}

}  // namespace granule
