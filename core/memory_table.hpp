// Every byte a rank allocates for tensors has a category; this table counts them, now and at the peak.
// It is filled by Storage and read by reports, `granule plan` and the tests that compare the two.
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
  void add(MemoryCategory category, std::int64_t bytes);  ///< negative on release
  [[nodiscard]] std::int64_t current(MemoryCategory category) const { return row(category).current; }
  [[nodiscard]] std::int64_t peak(MemoryCategory category) const { return row(category).peak; }
  [[nodiscard]] std::int64_t current_total() const { return total_.current; }
  /// Highest sum at any one moment: at most the sum of the categories' peaks.
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
