// One line of a JSON Lines file: the document in it, or what is wrong with it and where in the line.
#pragma once
#include <string>
#include <string_view>
#include <variant>

namespace granule {

struct BadLine {
  std::string what;    ///< with the place in the line, in bytes counted from 1
  std::string advice;  ///< how to correct it
};

/// The string under `key` of the line's JSON object.
[[nodiscard]] std::variant<std::string, BadLine> document_of_line(std::string_view line,
                                                                  const std::string& key);

/// The error for a line of text or JSON that is not UTF-8 from this byte on.
[[nodiscard]] BadLine not_utf8(std::size_t byte);

}  // namespace granule
