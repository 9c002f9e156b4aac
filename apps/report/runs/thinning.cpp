#include "apps/report/runs/thinning.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace granule {
namespace {

/// Marks the rows [begin, end) of a column that its bucket keeps. A column that does not change needs none.
void mark_extremes(std::span<const double> column, std::size_t begin, std::size_t end,
                   std::vector<char>& kept) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t least = kNone, most = kNone, absent = kNone;
  for (std::size_t row = begin; row < end; ++row) {
    if (std::isnan(column[row])) {
      if (absent == kNone) absent = row;
      continue;
    }
    if (least == kNone || column[row] < column[least]) least = row;
    if (most == kNone || column[row] > column[most]) most = row;
  }
  if (least == kNone) return;  // everything is absent, and any row shows it
  if (absent != kNone) kept[absent] = 1;
  if (absent == kNone && column[least] == column[most]) return;
  kept[least] = kept[most] = 1;
}

std::vector<char> kept_with(std::span<const std::span<const double>> columns, std::size_t rows,
                            std::size_t buckets) {
  std::vector<char> kept(rows, 0);
  kept.front() = kept.back() = 1;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    const std::size_t begin = rows * bucket / buckets, end = rows * (bucket + 1) / buckets;
    kept[begin] = 1;
    for (const std::span<const double> column : columns) mark_extremes(column, begin, end, kept);
  }
  return kept;
}

}  // namespace

std::vector<std::size_t> thinned_rows(std::span<const std::span<const double>> columns, std::size_t most) {
  const std::size_t rows = columns.empty() ? 0 : columns.front().size();
  std::vector<std::size_t> all(rows);
  std::iota(all.begin(), all.end(), std::size_t{0});
  if (rows <= most) return all;
  std::vector<char> kept;
  for (std::size_t buckets = std::max<std::size_t>(most / 2, 1);;) {
    kept = kept_with(columns, rows, buckets);
    const auto count = static_cast<std::size_t>(std::ranges::count(kept, 1));
    if (count <= most || buckets == 1) break;
    // A bucket keeps about as many rows as now, so this many buckets will fit. It always becomes smaller.
    buckets = std::max<std::size_t>(std::min(buckets * most / count, buckets - 1), 1);
  }
  std::erase_if(all, [&](std::size_t row) { return kept[row] == 0; });
  return all;
}

std::vector<double> rows_of(std::span<const double> column, std::span<const std::size_t> rows) {
  std::vector<double> values;
  values.reserve(rows.size());
  for (const std::size_t row : rows) values.push_back(column[row]);
  return values;
}

}  // namespace granule
