// Ends a generated text before the first of some texts. The first is the one that is complete first. So it
// does not matter in which pieces the text comes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace granule {

class StopTexts {
 public:
  /// None of them may be empty.
  explicit StopTexts(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Takes text that was generated, and returns what certainly comes before a stop. What may be the beginning
  /// of a stop is held back until more is known.
  [[nodiscard]] std::string add(std::string_view text);
  /// What is still held back, at the end of a text without a stop.
  [[nodiscard]] std::string finish();
  [[nodiscard]] bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace granule
