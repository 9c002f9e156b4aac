#include "apps/generation/stop_texts.hpp"

#include <algorithm>
#include <utility>

namespace granule {

std::string StopTexts::add(std::string_view text) {
  if (found_) return {};
  held_ += text;
  std::size_t certain = held_.size(), first_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    const std::size_t end = at + stop.size();
    if (end > first_end || (end == first_end && at > certain)) continue;
    found_ = true;
    first_end = end;
    certain = at;
  }
  // The longest end of the text that a stop begins with.
  for (const std::string& stop : stops_) {
    const std::size_t longest = std::min(stop.size() - 1, held_.size());
    for (std::size_t length = longest; length > 0 && !found_; --length) {
      if (!held_.ends_with(std::string_view(stop).substr(0, length))) continue;
      certain = std::min(certain, held_.size() - length);
      break;
    }
  }
  std::string before = held_.substr(0, certain);
  held_.erase(0, found_ ? held_.size() : certain);
  return before;
}

std::string StopTexts::finish() {
  return std::exchange(held_, {});
}

}  // namespace granule
