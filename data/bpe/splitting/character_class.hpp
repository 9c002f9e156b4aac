// Brackets of Oniguruma that PCRE2 does not have: brackets inside of brackets, and && between them.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace granule {

/// The length of the brackets that the text begins with, from [ to ], or 0 if they do not end.
[[nodiscard]] std::size_t length_of_class(std::string_view text);

/// Whether they have a part that must be rewritten: inner brackets, && or \W.
[[nodiscard]] bool is_nested_class(std::string_view brackets);

/// What PCRE2 reads as plain brackets, made of plain ones in Oniguruma's syntax.
using TranslatePlainClass = std::function<std::string(std::string_view brackets)>;
/// Throws. It says what of the expression is not understood.
using RefuseClass = std::function<void(std::string_view what)>;

/// An expression for PCRE2 that matches the same single characters. "[\p{L}&&[^\p{Han}]]" becomes
/// "(?:(?!\p{Han})\p{L})", with brackets around the properties.
[[nodiscard]] std::string flat_class(std::string_view brackets, const TranslatePlainClass& translate,
                                     const RefuseClass& refuse);

}  // namespace granule
