// One line of a JSON Lines file: the document in it, or what is wrong with it and where in the line.
#pragma once
#include <string>
#include <string_view>
#include <variant>

namespace granule {

struct BadLine {
  std::string what;    ///< with the place in the line, in bytes from 1 on
  std::string advice;  ///< how to mend it
};

/// The string under `key` of the object that the line is.
[[nodiscard]] std::variant<std::string, BadLine> document_of_line(std::string_view line,
                                                                  const std::string& key);

/// What is wrong with a line of text or JSON that is not UTF-8 from this byte on.
[[nodiscard]] BadLine not_utf8(std::size_t byte);

}  // namespace granule
