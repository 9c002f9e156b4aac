#include "data/tokenizers/sentencepiece_spec.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/error.hpp"

namespace granule {
namespace {

[[noreturn]] void damaged() {
  user_error("the SentencePiece model is damaged", "tokenizer", "train the tokenizer again");
}

// Protocol buffer wire format: https://protobuf.dev/programming-guides/encoding/
enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest.empty()) damaged();
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  damaged();
}

std::string_view take_bytes(std::string_view& rest, std::uint64_t size) {
  if (size > rest.size()) damaged();
  const std::string_view bytes = rest.substr(0, size);
  rest.remove_prefix(size);
  return bytes;
}

// Calls visit(field, number, bytes) for every field. Its value is in one of the last two; a fixed number is
// in its bytes.
template <class Visit>
void each_field(std::string_view message, Visit&& visit) {
  while (!message.empty()) {
    const std::uint64_t tag = take_varint(message);
    switch (static_cast<Wire>(tag & 7)) {
      case Wire::varint:
        visit(tag >> 3, take_varint(message), std::string_view{});
        break;
      case Wire::bytes:
        visit(tag >> 3, std::uint64_t{0}, take_bytes(message, take_varint(message)));
        break;
      case Wire::fixed64:
        visit(tag >> 3, std::uint64_t{0}, take_bytes(message, 8));
        break;
      case Wire::fixed32:
        visit(tag >> 3, std::uint64_t{0}, take_bytes(message, 4));
        break;
      default:
        damaged();
    }
  }
}

// Field numbers of sentencepiece_model.proto.
constexpr std::uint64_t kModelBpe = 2;

void read_trainer(std::string_view message, SentencePieceSpec& spec) {
  each_field(message, [&](std::uint64_t field, std::uint64_t number, std::string_view) {
    if (field == 3) spec.bpe = number == kModelBpe;
    if (field == 24) spec.treat_whitespace_as_suffix = number != 0;
    if (field == 35) spec.byte_fallback = number != 0;
  });
}

void read_normalizer(std::string_view message, SentencePieceSpec& spec) {
  each_field(message, [&](std::uint64_t field, std::uint64_t number, std::string_view bytes) {
    if (field == 2) spec.plain_text = bytes.empty();
    if (field == 3) spec.add_dummy_prefix = number != 0;
    if (field == 4) spec.remove_extra_whitespaces = number != 0;
    if (field == 5) spec.escape_whitespaces = number != 0;
  });
}

float float_of(std::string_view bytes) {
  static_assert(std::endian::native == std::endian::little);
  float value = 0;
  if (bytes.size() != sizeof value) damaged();
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

PieceKind kind_of(std::uint64_t type) {
  switch (type) {
    case 1:
      return PieceKind::normal;
    case 2:
      return PieceKind::unknown;
    case 3:
      return PieceKind::control;
    case 4:
      return PieceKind::user_defined;
    case 5:
      return PieceKind::unused;
    case 6:
      return PieceKind::byte;
    default:
      damaged();
  }
}

ListedPiece read_piece(std::string_view message) {
  ListedPiece piece;
  each_field(message, [&](std::uint64_t field, std::uint64_t number, std::string_view bytes) {
    if (field == 1) piece.text = bytes;
    if (field == 2) piece.score = float_of(bytes);
    if (field == 3) piece.kind = kind_of(number);
  });
  return piece;
}

}  // namespace

std::vector<ListedPiece> read_sentencepiece_pieces(std::string_view model) {
  std::vector<ListedPiece> pieces;
  each_field(model, [&](std::uint64_t field, std::uint64_t, std::string_view bytes) {
    if (field == 1) pieces.push_back(read_piece(bytes));
  });
  return pieces;
}

std::string beyond_scores(const SentencePieceSpec& spec) {
  if (!spec.bpe) return "its SentencePiece model is not BPE";
  if (!spec.byte_fallback) return "its SentencePiece model has no byte fallback";
  if (!spec.plain_text) return "its SentencePiece model normalizes text";
  if (spec.remove_extra_whitespaces) return "its SentencePiece model removes repeated spaces";
  if (!spec.escape_whitespaces) return "its SentencePiece model does not write spaces as \u2581";
  if (spec.treat_whitespace_as_suffix) return "its SentencePiece model puts spaces at the end of words";
  return {};
}

SentencePieceSpec read_sentencepiece_spec(std::string_view model) {
  SentencePieceSpec spec;
  each_field(model, [&](std::uint64_t field, std::uint64_t, std::string_view bytes) {
    if (field == 2) read_trainer(bytes, spec);
    if (field == 3) read_normalizer(bytes, spec);
  });
  return spec;
}

}  // namespace granule
