#include "apps/report/runs/thinning.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "tests/support/catch.hpp"

using namespace granule;

namespace {

using Column = std::vector<double>;

std::vector<std::size_t> thinned(const std::vector<Column>& columns, std::size_t most) {
  const std::vector<std::span<const double>> spans(columns.begin(), columns.end());
  return thinned_rows(spans, most);
}

std::vector<Column> random_columns(std::size_t rows, std::size_t count) {
  std::mt19937 random(3);
  std::normal_distribution<double> value;
  std::vector<Column> columns(count, Column(rows));
  for (Column& column : columns) std::ranges::generate(column, [&] { return value(random); });
  return columns;
}

bool has(const std::vector<std::size_t>& rows, std::size_t row) {
  return std::ranges::find(rows, row) != rows.end();
}

}  // namespace

TEST_CASE("thinning: a short record keeps every row") {
  CHECK(thinned({{1.0, 2.0, 3.0}}, 3) == std::vector<std::size_t>{0, 1, 2});
  CHECK(thinned({{}}, 3).empty());
  CHECK(thinned({}, 3).empty());
}

TEST_CASE("thinning: a long record keeps the extremes of every column, and its ends") {
  auto columns = random_columns(10'000, 5);
  columns[2][4'321] = 99.0;
  columns[3][777] = -99.0;
  for (const std::size_t most : std::array<std::size_t, 3>{100, 500, 2'000}) {
    const auto rows = thinned(columns, most);
    CHECK(rows.size() <= most);
    CHECK(rows.size() >= most / 3);
    CHECK(std::ranges::is_sorted(rows));
    CHECK(rows.front() == 0);
    CHECK(rows.back() == 9'999);
    for (const Column& column : columns) {
      CHECK(has(rows, static_cast<std::size_t>(std::ranges::max_element(column) - column.begin())));
      CHECK(has(rows, static_cast<std::size_t>(std::ranges::min_element(column) - column.begin())));
    }
  }
}

TEST_CASE("thinning: a value that is absent is kept as a gap") {
  auto columns = random_columns(10'000, 2);
  columns[1][5'000] = std::numeric_limits<double>::quiet_NaN();
  CHECK(has(thinned(columns, 200), 5'000));
}

TEST_CASE("thinning: columns that do not change need no rows") {
  const std::vector<Column> columns(15, Column(10'000, 1.0));
  const auto rows = thinned(columns, 400);
  CHECK(rows.size() >= 200);
  CHECK(rows.size() <= 400);
}

TEST_CASE("thinning: if few rows are wanted, the extremes are kept all the same") {
  const auto columns = random_columns(1'000, 20);
  const auto rows = thinned(columns, 10);
  CHECK(rows.size() <= 42);
  for (const Column& column : columns)
    CHECK(has(rows, static_cast<std::size_t>(std::ranges::max_element(column) - column.begin())));
}

TEST_CASE("thinning: the rows of a column are its values there") {
  CHECK(rows_of(Column{1.0, 2.0, 3.0, 4.0}, std::vector<std::size_t>{0, 3}) == Column{1.0, 4.0});
}
