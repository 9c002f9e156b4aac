// Unicode's normal forms, small letters, marks and white space, on valid UTF-8.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace granule {

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

[[nodiscard]] std::string in_normal_form(std::string_view text, NormalForm form);

/// Every character as the small letter that Unicode gives for it alone. So a sigma at the end of a word is
/// one like any other.
[[nodiscard]] std::string in_small_letters(std::string_view text);

/// Without the marks (category M). Accents are marks only in a decomposed text.
[[nodiscard]] std::string without_marks(std::string_view text);

/// Whether a character has the property White_Space.
[[nodiscard]] bool is_white_space(char32_t c);
/// How many bytes of white space the text begins with.
[[nodiscard]] std::size_t white_space_at_start(std::string_view text);
/// How many bytes of white space the text ends with.
[[nodiscard]] std::size_t white_space_at_end(std::string_view text);

/// Whether the text begins or ends with a letter, a mark, a digit or a connector such as _.
[[nodiscard]] bool starts_with_word_character(std::string_view text);
[[nodiscard]] bool ends_with_word_character(std::string_view text);

}  // namespace granule
