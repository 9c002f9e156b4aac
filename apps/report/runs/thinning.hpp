// Which rows of a long record a picture needs.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace granule {

/// The indices of the rows that are kept, ascending. The columns have equal lengths, and NaN is an absent
/// value. If there are more than `most` rows, they are cut into buckets. Each bucket keeps the row of the
/// least and of the largest value of every column, and the first row where a value is absent. The first and
/// the last row are always kept. One bucket is the least, so more than `most` rows may be kept if that is
/// smaller than a bucket's.
[[nodiscard]] std::vector<std::size_t> thinned_rows(std::span<const std::span<const double>> columns,
                                                    std::size_t most);

/// The values of these rows.
[[nodiscard]] std::vector<double> rows_of(std::span<const double> column, std::span<const std::size_t> rows);

}  // namespace granule
