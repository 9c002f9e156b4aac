#include "apps/report/runs/metrics_columns.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <simdjson.h>

#include "data/files/files.hpp"

namespace granule {
namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();
constexpr double kSecondsPerHour = 3600.0;

/// What a row has besides the columns.
constexpr std::array<std::string_view, 4> kAside{"step_seconds", "mean_of_steps", "skips", "skipped"};
enum Aside : std::uint8_t { seconds, steps_in_mean, skips, skipped };

/// A number of a row has a slot. First come those of kSeries, then of kValidation, then of kAside.
constexpr std::size_t kFirstValidation = kSeries.size();
constexpr std::size_t kFirstAside = kFirstValidation + kValidation.size();
constexpr std::size_t kSlots = kFirstAside + kAside.size();
using Row = std::array<double, kSlots>;

std::size_t slot_of(std::string_view key) {
  std::size_t slot = 0;
  for (const std::span<const std::string_view> names :
       {std::span<const std::string_view>(kSeries), std::span<const std::string_view>(kValidation),
        std::span<const std::string_view>(kAside)}) {
    for (const std::string_view name : names) {
      if (name == key) return slot;
      ++slot;
    }
  }
  return kSlots;
}

/// Rows of a file have nearly the same keys in the same order, so the slot of a key is mostly known.
class Slots {
 public:
  std::size_t of(std::size_t place, std::string_view key) {
    if (place >= known_.size()) known_.resize(place + 1);
    if (known_[place].key != key || key.empty()) known_[place] = {std::string(key), slot_of(key)};
    return known_[place].slot;
  }

 private:
  struct Known {
    std::string key;
    std::size_t slot = kSlots;
  };
  std::vector<Known> known_;
};

double number_of(const simdjson::dom::element& value) {
  double number = kAbsent;
  bool flag = false;
  if (value.get(number) == simdjson::SUCCESS) return number;
  if (value.get(flag) == simdjson::SUCCESS) return flag ? 1.0 : 0.0;
  return kAbsent;
}

class Reader {
 public:
  explicit Reader(double flops_per_token) : flops_per_token_(flops_per_token) {}

  /// After the line there must be kPadding bytes that may be read. Returns whether it is a row.
  bool add(std::string_view line) {
    simdjson::dom::object object;
    if (parser_.parse(line.data(), line.size(), false).get(object) != simdjson::SUCCESS) return false;
    Row row;
    row.fill(kAbsent);
    bool evaluated = false;
    std::size_t place = 0;
    for (const auto& [key, value] : object) {
      const std::size_t slot = slots_.of(place++, key);
      if (slot < kSlots) row[slot] = number_of(value);
      evaluated = evaluated || slot == kFirstValidation + kPlaces;
    }
    if (!(row[0] > step_)) return false;
    step_ = row[0];
    put(row, evaluated);
    return true;
  }

  [[nodiscard]] Metrics take() { return std::move(metrics_); }

 private:
  void put(Row& row, bool evaluated) {
    const auto aside = [&](Aside which) { return row[kFirstAside + which]; };
    const double covered =
        aside(skipped) == 1.0 || !(aside(steps_in_mean) > 0.0) ? 1.0 : aside(steps_in_mean);
    if (std::isfinite(aside(seconds))) hours_ += aside(seconds) * covered / kSecondsPerHour;
    row[2] = row[1] * flops_per_token_;
    row[3] = hours_;
    for (std::size_t i = 0; i < kSeries.size(); ++i) metrics_.series[i].push_back(row[i]);
    if (std::isfinite(aside(skips))) metrics_.skips = static_cast<std::int64_t>(aside(skips));
    if (!evaluated) return;
    for (std::size_t i = 0; i < kValidation.size(); ++i)
      metrics_.validation[i].push_back(i < kPlaces ? row[i] : row[kFirstValidation + i]);
  }

  double flops_per_token_, hours_ = 0.0, step_ = -1.0;
  Metrics metrics_;
  Slots slots_;
  simdjson::dom::parser parser_;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

Metrics read_metrics(const std::filesystem::path& file, double flops_per_token) {
  constexpr std::size_t kPiece = std::size_t{1} << 22;
  std::error_code absent;
  if (!std::filesystem::exists(file, absent)) return {};
  const PieceReader bytes(file);
  const auto size = static_cast<std::size_t>(bytes.size());
  Reader reader(flops_per_token);
  std::int64_t damaged = 0;
  std::string buffer;
  std::size_t kept = 0;  // what is left of a line at the beginning of the buffer
  for (std::size_t read = 0; read < size;) {
    const std::size_t piece = std::min(kPiece, size - read);
    buffer.resize(kept + piece + simdjson::SIMDJSON_PADDING);
    bytes.read(static_cast<std::int64_t>(read),
               std::as_writable_bytes(std::span(buffer).subspan(kept, piece)));
    read += piece;
    const std::string_view text(buffer.data(), kept + piece);
    std::size_t begin = 0;
    for (std::size_t end; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1) {
      const std::string_view line = text.substr(begin, end - begin);
      if (!is_blank(line) && !reader.add(line)) ++damaged;
    }
    kept = text.size() - begin;
    std::memmove(buffer.data(), buffer.data() + begin, kept);
  }
  const std::string_view rest(buffer.data(), kept);
  const bool torn = !is_blank(rest) && !reader.add(rest);
  Metrics metrics = reader.take();
  metrics.damaged = damaged;
  metrics.torn = torn;
  return metrics;
}

}  // namespace granule
