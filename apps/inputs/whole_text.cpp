#include "apps/inputs/whole_text.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/error.hpp"
#include "data/files/utf8.hpp"
#include "data/text/content_reader.hpp"

namespace granule {

std::string read_whole_text(const std::filesystem::path& path) {
  ContentReader content(path == kStdin ? stdin_as_file() : path);
  std::string text;
  while (!content.at_end()) text += content.take_all();
  require_utf8(text, name_of_input(path));
  return text;
}

std::string_view take_line(std::string_view& rest) {
  std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

void require_utf8(std::string_view text, std::string_view where) {
  if (const auto bad = first_invalid_utf8(text))
    user_error(fmt::format("not UTF-8 from byte {} on", *bad + 1), where, "convert it to UTF-8");
}

}  // namespace granule
