#include "apps/generation/stop_texts.hpp"

#include <algorithm>

#include "core/random.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("stop_texts: however a text comes, what is given ends before the stop that is complete first") {
  const RandomStream random(3, "text");
  std::uint64_t draw = 0;
  const auto word = [&](std::uint64_t longest) {
    std::string text(1 + random.below(longest, draw++), ' ');
    for (char& letter : text) letter = static_cast<char>('a' + random.below(2, draw++));
    return text;
  };
  int stopped = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const std::string text = word(24);
    const std::vector<std::string> stops{word(5), word(5)};
    StopTexts stop_texts(stops);
    std::string given;
    for (std::size_t at = 0; at < text.size() && !stop_texts.found();) {
      const std::size_t size = 1 + random.below(4, draw++);
      given += stop_texts.add(std::string_view(text).substr(at, size));
      at += size;
      // Nothing that could still be part of a stop was given, and everything else was.
      const std::string_view so_far = std::string_view(text).substr(0, at);
      for (const std::string& stop : stops) {
        for (std::size_t length = 1; length < stop.size() && !stop_texts.found(); ++length) {
          if (so_far.ends_with(stop.substr(0, length))) CHECK(given.size() + length <= so_far.size());
        }
      }
    }
    const bool found = stop_texts.found();
    given += stop_texts.finish();
    std::size_t first = std::string::npos, first_end = text.size() + 1;
    for (const std::string& stop : stops) {
      const std::size_t at = text.find(stop), end = at + stop.size();
      if (at == std::string::npos || end > first_end || (end == first_end && at > first)) continue;
      first = at;
      first_end = end;
    }
    INFO(text << " stops " << stops[0] << ' ' << stops[1]);
    CHECK(found == (first != std::string::npos));
    CHECK(given == text.substr(0, first));
    stopped += found ? 1 : 0;
  }
  CHECK(stopped > 200);
  CHECK(stopped < 1800);
}
