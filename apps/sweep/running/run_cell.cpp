#include "apps/sweep/running/run_cell.hpp"

#include <nlohmann/json.hpp>

#include "apps/records/metrics_file.hpp"
#include "core/error.hpp"
#include "data/files/atomic_file.hpp"

namespace granule {

namespace fs = std::filesystem;

fs::path log_of(const fs::path& sweep, const Cell& cell) {
  return sweep / "logs" / (cell.name + ".txt");
}

void prepare_cell(const fs::path& sweep, const Cell& cell) {
  const fs::path run = run_of(sweep, cell);
  std::error_code failure;
  for (const fs::path& directory : {run, sweep / "logs"}) {
    fs::create_directories(directory, failure);
    if (failure)
      io_error(fmt::format("cannot make the directory: {}", failure.message()), directory.string(),
               "make room, or name another --out");
  }
  static_cast<void>(write_file(run / "config.toml", to_toml(cell.config)));
}

std::string losses_text(const fs::path& run) {
  std::string text;
  const auto add = [&](const char* key, const char* name) {
    const auto row = RowsFromEnd(run / "metrics.jsonl").next_with(key);
    if (row && (*row)[key].is_number())
      text += fmt::format("{}{} {:.4f}", text.empty() ? "" : ", ", name, (*row)[key].get<double>());
  };
  add("ce", "ce");
  add("val_ce", "val ce");
  return text;
}

std::string end_text(const fs::path& sweep, const Cell& cell, const CellStatus& status) {
  if (status.state == CellState::failed)
    return fmt::format("{} failed with exit code {}: {}", cell.name, status.exit_code, status.error);
  const std::string losses = losses_text(run_of(sweep, cell));
  return fmt::format("{} is {}{}{}", cell.name, name_of(status.state), losses.empty() ? "" : ": ", losses);
}

}  // namespace granule
