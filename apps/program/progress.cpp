#include "apps/program/progress.hpp"

#include <algorithm>

#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/program/console.hpp"

namespace granule {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);

// A line that wraps could not be overwritten.
std::string_view fit_terminal(std::string_view line) {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return line;
  return line.substr(0, static_cast<std::size_t>(size.ws_col) - 1);
}

}  // namespace

Progress::Progress(std::chrono::milliseconds interval)
    : terminal_(isatty(STDERR_FILENO) == 1),
      interval_(terminal_ ? kRedraw : interval),
      next_(Clock::now() + interval_) {}

Progress::~Progress() {
  if (drawn_) print_err("\n");
}

void Progress::show(std::string_view line) {
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + interval_;
  if (!terminal_) {
    print_progress(fmt::format("{}\n", line));
    return;
  }
  print_progress(fmt::format("\r\033[K{}", fit_terminal(line)));
  drawn_ = true;
}

void Progress::say(std::string_view line) {
  granule::say("{}{}", drawn_ ? "\r\033[K" : "", line);
  drawn_ = false;
}

void Progress::say_one_of_many(std::string_view line) {
  print_progress(fmt::format("{}{}\n", drawn_ ? "\r\033[K" : "", line));
  drawn_ = false;
}

}  // namespace granule
