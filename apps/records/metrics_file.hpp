// metrics.jsonl, a file that may grow for weeks. It is shortened in place, and read from its end.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace granule {

struct MetricsCut {
  std::int64_t rows = 0;  ///< rows that are kept
  bool damaged = false;   ///< the line after them is not a row
  /// A copy of the damaged file as it was.
  std::filesystem::path copy{};
};

/// Removes every row of a later step than `step`, and everything from the first line that is not a row. The
/// file is read once and shortened in place. Only one row at a time is in memory. Only a damaged file is
/// copied before, as metrics.jsonl.damaged, because rows after the damage may be whole. Does nothing if there
/// is no file.
MetricsCut cut_metrics(const std::filesystem::path& file, std::int64_t step);

/// The rows of a file, beginning with the last one. A line that is cut short, or is not a JSON object, is
/// skipped.
class RowsFromEnd {
 public:
  explicit RowsFromEnd(const std::filesystem::path& file);
  /// The row before the one that was returned last. Absent at the beginning of the file.
  [[nodiscard]] std::optional<nlohmann::json> next();
  /// The newest row that was not yet returned and has a value other than null under this key.
  [[nodiscard]] std::optional<nlohmann::json> next_with(const std::string& key);

 private:
  [[nodiscard]] bool read_line(std::string& line);

  std::ifstream stream_;
  std::uintmax_t begin_ = 0;  ///< where in the file buffer_ begins
  std::string buffer_;        ///< it ends with the line that is returned next
};

}  // namespace granule
