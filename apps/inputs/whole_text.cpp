#include "apps/inputs/whole_text.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/files/utf8.hpp"
#include "data/text/content_reader.hpp"

namespace granule {

std::string read_stdin() {
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      io_error(fmt::format("cannot read: {}", std::strerror(errno)), "stdin", "give it a file or a pipe");
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

std::string name_of_input(const std::filesystem::path& path) {
  return path == kStdin ? "stdin" : path.string();
}

std::string read_whole_text(const std::filesystem::path& path) {
  std::string text;
  if (path == kStdin) {
    text = read_stdin();
  } else {
    ContentReader content(path);
    while (!content.at_end()) text += content.take_all();
  }
  require_utf8(text, name_of_input(path));
  return text;
}

void require_utf8(std::string_view text, std::string_view where) {
  if (const auto bad = first_invalid_utf8(text))
    user_error(fmt::format("not UTF-8 from byte {} on", *bad + 1), where, "convert it to UTF-8");
}

}  // namespace granule
