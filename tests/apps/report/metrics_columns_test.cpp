#include "apps/report/runs/metrics_columns.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;

namespace {

std::string row(int step, double ce, const std::string& more = "") {
  return fmt::format(R"({{"step":{},"tokens":{},"ce":{},"step_seconds":3.6{}}})", step, step * 100, ce,
                     more) +
         "\n";
}

Metrics read(const std::string& text) {
  const TempDir directory;
  write_text(directory / "metrics.jsonl", text);
  return read_metrics(directory / "metrics.jsonl", 10.0);
}

const std::vector<double>& series(const Metrics& metrics, std::string_view name) {
  return metrics.series[static_cast<std::size_t>(std::ranges::find(kSeries, name) - kSeries.begin())];
}

using Column = std::vector<double>;

}  // namespace

TEST_CASE("metrics_columns: rows become columns, with their FLOPs and hours") {
  const Metrics metrics = read(row(1, 5.5) + row(2, 5.25));
  CHECK(series(metrics, "step") == Column{1, 2});
  CHECK(series(metrics, "tokens") == Column{100, 200});
  CHECK(series(metrics, "ce") == Column{5.5, 5.25});
  CHECK(series(metrics, "flops") == Column{1000, 2000});
  CHECK(series(metrics, "hours")[1] == Approx(0.002));
  CHECK(std::isnan(series(metrics, "lr")[0]));
  CHECK(metrics.damaged == 0);
  CHECK_FALSE(metrics.torn);
}

TEST_CASE("metrics_columns: a row of means counts the time of all its steps, a skipped one its own") {
  const Metrics metrics = read(row(10, 5.0, R"(,"mean_of_steps":10,"skipped":false)") +
                               row(13, 9.0, R"(,"mean_of_steps":2,"skipped":true,"skips":1)") +
                               row(20, 4.0, R"(,"mean_of_steps":9,"skips":1)"));
  const Column& hours = series(metrics, "hours");
  CHECK(hours[0] == Approx(0.010));
  CHECK(hours[1] == Approx(0.011));
  CHECK(hours[2] == Approx(0.020));
  CHECK(metrics.skips == 1);
}

TEST_CASE("metrics_columns: evaluations are columns of their own") {
  const Metrics metrics =
      read(row(1, 5.0) + row(2, 4.0, R"(,"val_ce":4.5,"val_perplexity":90.0,"val_bits_per_byte":null)"));
  CHECK(metrics.validation[0] == Column{2});
  CHECK(metrics.validation[1] == Column{200});
  CHECK(metrics.validation[4] == Column{4.5});
  CHECK(metrics.validation[5] == Column{90.0});
  CHECK(std::isnan(metrics.validation[6][0]));
}

TEST_CASE("metrics_columns: null is an absent value, in its place") {
  const Metrics metrics = read(row(1, 5.0) + "{\"step\":2,\"tokens\":200,\"ce\":null}\n" + row(3, 4.0));
  CHECK(series(metrics, "step") == Column{1, 2, 3});
  CHECK(std::isnan(series(metrics, "ce")[1]));
}

TEST_CASE("metrics_columns: a last line that is torn is left out, and a whole one without its end is taken") {
  const std::string whole = row(1, 5.0) + row(2, 4.0);
  for (std::size_t cut = row(1, 5.0).size() + 1; cut + 1 < whole.size(); ++cut) {
    const Metrics metrics = read(whole.substr(0, cut));
    CHECK(metrics.rows() == 1);
    CHECK(metrics.torn);
    CHECK(metrics.damaged == 0);
  }
  const Metrics metrics = read(whole.substr(0, whole.size() - 1));
  CHECK(metrics.rows() == 2);
  CHECK_FALSE(metrics.torn);
}

TEST_CASE("metrics_columns: damaged lines are left out and counted") {
  const Metrics metrics = read(row(1, 5.0) + "{\"step\":2,\"ce\":\n" + "\x01\xff\n" + "[1,2]\n" + "\n" +
                               row(1, 4.5) + "{\"tokens\":3}\n" + row(5, 4.0));
  CHECK(series(metrics, "step") == Column{1, 5});
  CHECK(metrics.damaged == 5);  // cut short, noise, a list, a step again, and a row without a step
}

TEST_CASE("metrics_columns: a file that is absent or empty has no rows") {
  CHECK(read_metrics("/nonexistent/metrics.jsonl", 1.0).rows() == 0);
  CHECK(read("").rows() == 0);
}

TEST_CASE("metrics_columns: a file longer than a piece is read whole, also where a row crosses its end") {
  const std::string more = fmt::format(",\"load_cv_by_layer\":[{}1.5]", std::string(9'000, ' '));
  std::string text;
  for (int step = 1; step <= 1'500; ++step) text += row(step, 1.0 / step, more);
  REQUIRE(text.size() > 3 * (std::size_t{1} << 22));
  const Metrics metrics = read(text);
  REQUIRE(metrics.rows() == 1'500);
  CHECK(metrics.damaged == 0);
  for (int step = 1; step <= 1'500; ++step)
    CHECK(series(metrics, "ce")[static_cast<std::size_t>(step - 1)] == 1.0 / step);
}
