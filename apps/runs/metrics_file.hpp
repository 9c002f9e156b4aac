// metrics.jsonl as a file that grows for weeks: cut back in place, and read from its end.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace granule {

struct MetricsCut {
  std::int64_t rows = 0;  ///< that stay
  bool damaged = false;   ///< the line after them is no row
};

/// Removes every row of a later step than `step`, and all that follows the first line that is no row. The
/// file is read once and shortened where it is: a row at a time is in memory, and no second file is made.
/// Does nothing where there is no file.
MetricsCut cut_metrics(const std::filesystem::path& file, std::int64_t step);

/// The rows of a file from the last one on. A line that is cut short, or is no JSON object, is passed over.
class RowsFromEnd {
 public:
  explicit RowsFromEnd(const std::filesystem::path& file);
  /// The row before the one returned last; nothing at the beginning of the file.
  [[nodiscard]] std::optional<nlohmann::json> next();
  /// The newest row not yet returned that has a value, not null, under this key.
  [[nodiscard]] std::optional<nlohmann::json> next_with(const std::string& key);

 private:
  [[nodiscard]] bool read_line(std::string& line);

  std::ifstream stream_;
  std::uintmax_t begin_ = 0;  ///< of what is in buffer_
  std::string buffer_;        ///< ends with the end of the line to return next
};

}  // namespace granule
