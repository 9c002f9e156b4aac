#include "apps/records/metrics_file.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The step of a row as it is written, {"step":12,…}. It is found without reading the whole row.
std::optional<std::int64_t> step_at_begin(const std::string& line) {
  constexpr std::string_view kBegin = R"({"step":)";
  if (!line.starts_with(kBegin) || line.back() != '}') return std::nullopt;
  std::int64_t step = 0;
  const char* const end = line.data() + line.size();
  const auto number = std::from_chars(line.data() + kBegin.size(), end, step);
  const bool whole = number.ec == std::errc() && (*number.ptr == ',' || number.ptr == end - 1);
  return whole ? std::optional(step) : std::nullopt;
}

/// Absent if the line is not a row.
std::optional<std::int64_t> step_of_row(const std::string& line) try {
  if (const auto step = step_at_begin(line)) return step;
  return parse_json(line, "metrics.jsonl").at("step").get<std::int64_t>();
} catch (const Error&) {
  return std::nullopt;
} catch (const json::exception&) {
  return std::nullopt;
}

/// A copy beside the file, under a name that is free. Throws io_error.
fs::path copy_of_damaged(const fs::path& file) {
  std::error_code failure;
  fs::path copy = file.string() + ".damaged";
  for (int i = 2; fs::exists(copy, failure); ++i) copy = fmt::format("{}.damaged-{}", file.string(), i);
  fs::copy_file(file, copy, failure);
  if (failure)
    io_error("cannot keep a copy of the damaged record: " + failure.message(), copy.string(),
             "check permissions and free space");
  return copy;
}

}  // namespace

MetricsCut cut_metrics(const fs::path& file, std::int64_t step) {
  MetricsCut cut;
  std::error_code failure;
  const std::uintmax_t size = fs::file_size(file, failure);
  if (failure) return cut;
  std::ifstream stream(file, std::ios::binary);
  std::uintmax_t kept = 0;
  // A last line without a newline was cut short.
  for (std::string line; std::getline(stream, line) && !stream.eof(); kept += line.size() + 1, ++cut.rows) {
    const auto found = step_of_row(line);
    cut.damaged = !found;
    if (!found || *found > step) break;
  }
  if (kept == size) return cut;
  if (cut.damaged) cut.copy = copy_of_damaged(file);
  fs::resize_file(file, kept, failure);
  if (failure)
    io_error("cannot cut back: " + failure.message(), file.string(), "check permissions and free space");
  return cut;
}

RowsFromEnd::RowsFromEnd(const fs::path& file) : stream_(file, std::ios::binary) {
  std::error_code absent;
  const std::uintmax_t size = fs::file_size(file, absent);
  if (!absent) begin_ = size;
  std::string torn;
  if (begin_ > 0) static_cast<void>(read_line(torn));  // what follows the last newline
}

/// Reads the text after the last newline in buffer_. Then buffer_ ends with the line before it.
bool RowsFromEnd::read_line(std::string& line) {
  constexpr std::uintmax_t kPiece = 1 << 16;
  std::size_t end = buffer_.rfind('\n');
  while (end == std::string::npos && begin_ > 0) {
    const std::uintmax_t size = std::min(kPiece, begin_);
    std::string piece(size, '\0');
    begin_ -= size;
    stream_.seekg(static_cast<std::streamoff>(begin_));
    if (!stream_.read(piece.data(), static_cast<std::streamsize>(size))) return false;
    buffer_.insert(0, piece);
    end = buffer_.rfind('\n', size - 1);
  }
  if (end == std::string::npos && buffer_.empty()) return false;
  const std::size_t begin = end == std::string::npos ? 0 : end + 1;
  line.assign(buffer_, begin);
  buffer_.resize(end == std::string::npos ? 0 : end);
  return true;
}

std::optional<json> RowsFromEnd::next() {
  for (std::string line; read_line(line);) {
    json row = json::parse(line, nullptr, false);
    if (row.is_object()) return row;
  }
  return std::nullopt;
}

std::optional<json> RowsFromEnd::next_with(const std::string& key) {
  const std::string written = json(key).dump() + ':';
  for (std::string line; read_line(line);) {
    if (line.find(written) == std::string::npos) continue;  // most rows are not parsed
    json row = json::parse(line, nullptr, false);
    if (row.is_object() && row.contains(key) && !row[key].is_null()) return row;
  }
  return std::nullopt;
}

}  // namespace granule
