#include "apps/report/report_files.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "apps/report/page.hpp"
#include "apps/report/tables.hpp"
#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/files/paths.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = "granule-report/1";

/// Whether a page or a document is in the file. It is read in pieces that overlap.
bool has_mark(const PieceReader& file) {
  constexpr std::int64_t kPiece = 1 << 20;
  std::string text;
  for (std::int64_t begin = 0; begin < file.size(); begin += kPiece) {
    const auto more = static_cast<std::int64_t>(kMark.size());
    text.resize(static_cast<std::size_t>(std::min(kPiece + more, file.size() - begin)));
    file.read(begin, std::as_writable_bytes(std::span(text)));
    if (text.find(kMark) != std::string::npos) return true;
  }
  return false;
}

bool is_table(const PieceReader& file) {
  std::string text(static_cast<std::size_t>(std::min<std::int64_t>(file.size(), 256)), ' ');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return std::ranges::any_of(std::array{kRunsHead, kVariantsHead, kComparisonsHead, kLoadHead, kSeriesHead},
                             [&](std::string_view head) { return text.starts_with(head); });
}

void require_place(const fs::path& file) {
  require_path_fits(file, {.added = 16});
  std::error_code failure;
  if (fs::is_directory(file, failure))
    user_error("--out names a directory", file.string(), "give --out the name of a file");
  if (!fs::exists(file, failure)) {
    const fs::path parent = parent_of(file);
    if (!fs::is_directory(parent, failure))
      user_error("there is no such directory", parent.string(), "make it, or choose another --out");
    return;
  }
  if (!fs::is_regular_file(file, failure))
    user_error("--out is no ordinary file", file.string(), "give --out the name of a file");
  const PieceReader reader(file);
  if (reader.size() > 0 && !is_table(reader) && !has_mark(reader))
    user_error("this file is no report, so it is not replaced", file.string(), "choose another --out");
}

/// A table that is written row by row, and in the file piece by piece.
std::int64_t write_table(const fs::path& path,
                         const std::function<void(const std::function<void(std::string_view)>&)>& fill) {
  constexpr std::size_t kPiece = 1 << 20;
  AtomicFile file(path);
  std::string waiting;
  const auto flush = [&] {
    file.write(std::as_bytes(std::span(waiting)));
    waiting.clear();
  };
  fill([&](std::string_view text) {
    waiting += text;
    if (waiting.size() >= kPiece) flush();
  });
  flush();
  return file.commit().size;
}

std::int64_t write_tables(const ReportData& data, const std::vector<fs::path>& files) {
  std::int64_t bytes = write_table(files[1], [&](const auto& write) { write_series_table(data, write); });
  bytes += write_table(files[2], [&](const auto& write) { write_load_table(data, write); });
  bytes += write_file(files[3], variants_table(data)).size;
  bytes += write_file(files[4], comparisons_table(data)).size;
  return bytes + write_file(files[0], runs_table(data)).size;
}

}  // namespace

std::vector<fs::path> report_files(const fs::path& out, ReportFormat format) {
  std::vector<fs::path> files{out};
  if (format != ReportFormat::csv) return files;
  for (const char* const table : {"-series", "-load", "-variants", "-comparisons"}) {
    fs::path beside = out.parent_path() / out.stem();
    beside += table;
    beside += out.extension();
    files.push_back(beside);
  }
  return files;
}

void require_place_for_report(const fs::path& out, ReportFormat format) {
  for (const fs::path& file : report_files(out, format)) require_place(file);
}

std::int64_t write_report(const ReportData& data, const fs::path& out, ReportFormat format,
                          std::optional<int> refresh_seconds) {
  if (format == ReportFormat::csv) return write_tables(data, report_files(out, format));
  const nlohmann::ordered_json document = report_document(data, refresh_seconds);
  if (format == ReportFormat::html) return write_file(out, report_page(document)).size;
  using Handler = nlohmann::json::error_handler_t;
  return write_file(out, document.dump(-1, ' ', false, Handler::replace) + "\n").size;
}

}  // namespace granule
