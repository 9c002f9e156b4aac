// Every byte that a rank allocates for tensors has a category. This table counts them, now and at the peak.
// Storage fills it. Reports, `granule plan` and the tests that compare the two read it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace granule {

enum class MemoryCategory : std::uint8_t {
  weights,
  gradients,
  optimizer,
  communication,
  activations,
  scratch,
  statistics
};
inline constexpr int kMemoryCategories = 7;
[[nodiscard]] std::string_view name_of(MemoryCategory category);

class MemoryTable {
 public:
  void add(MemoryCategory category, std::int64_t bytes);  ///< negative when memory is released
  [[nodiscard]] std::int64_t current(MemoryCategory category) const { return row(category).current; }
  [[nodiscard]] std::int64_t peak(MemoryCategory category) const { return row(category).peak; }
  [[nodiscard]] std::int64_t current_total() const { return total_.current; }
  /// The highest sum at any moment. It is at most the sum of the categories' peaks.
  [[nodiscard]] std::int64_t peak_total() const { return total_.peak; }

 private:
  struct Row {
    std::int64_t current = 0, peak = 0;
    void add(std::int64_t bytes);
  };
  [[nodiscard]] const Row& row(MemoryCategory category) const {
    return rows_[static_cast<std::size_t>(category)];
  }
  std::array<Row, kMemoryCategories> rows_{};
  Row total_;
};

}  // namespace granule
