#include "apps/report/statistics/statistics.hpp"

#include <cmath>
#include <limits>
#include <random>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using namespace granule;
using namespace granule::test;
using nlohmann::json;

namespace {

constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

struct Case {
  std::vector<double> baseline, variant;
};

/// Losses of n seeds. Both runs of a seed share most of what is random. Some runs have no value.
Case random_case(std::mt19937& random, int n) {
  std::normal_distribution<double> of_seed(3.0, 0.05), of_run(0.0, 0.01);
  std::bernoulli_distribution absent(0.15);
  Case made;
  for (int i = 0; i < n; ++i) {
    const double seed = of_seed(random);
    made.baseline.push_back(absent(random) ? kAbsent : seed + of_run(random));
    made.variant.push_back(absent(random) ? kAbsent : seed + 0.01 + of_run(random));
  }
  return made;
}

json list_of(const std::vector<double>& values) {
  json list = json::array();
  for (const double value : values) list.push_back(std::isfinite(value) ? json(value) : json());
  return list;
}

/// The figures that SciPy has for each case. Empty if it is not installed.
std::vector<json> figures_of_scipy(const std::vector<Case>& cases) {
  std::string input;
  for (const Case& one : cases)
    input += json{{"baseline", list_of(one.baseline)}, {"variant", list_of(one.variant)}}.dump() + "\n";
  const ProgramResult result = run_program({source_dir() + "/tests/apps/report/check_statistics.py"},
                                           {.input = input, .program = "/usr/bin/python3"});
  INFO(result.err);
  if (result.exit_code == 77) return {};
  REQUIRE(result.exit_code == 0);
  std::vector<json> figures;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) figures.push_back(json::parse(line));
  REQUIRE(figures.size() == cases.size());
  return figures;
}

// Both sum a dozen numbers near 3 in float64, and differences lose two digits to cancellation.
Approx near(const json& value) {
  return Approx(value.get<double>()).epsilon(1e-9).margin(1e-13);
}

void check_estimate(const Estimate& estimated, const json& expected) {
  CHECK(estimated.n == expected["n"]);
  REQUIRE(estimated.mean.has_value() == !expected["mean"].is_null());
  REQUIRE(estimated.deviation.has_value() == !expected["deviation"].is_null());
  REQUIRE(estimated.interval.has_value() == !expected["interval"].is_null());
  if (estimated.mean) CHECK(*estimated.mean == near(expected["mean"]));
  if (estimated.deviation) CHECK(*estimated.deviation == near(expected["deviation"]));
  if (!estimated.interval) return;
  CHECK(estimated.interval->low == near(expected["interval"][0]));
  CHECK(estimated.interval->high == near(expected["interval"][1]));
}

}  // namespace

TEST_CASE("statistics: means, intervals and paired tests are those of SciPy") {
  std::mt19937 random(7);
  std::vector<Case> cases{{{}, {}}, {{1.5}, {2.5}}, {{kAbsent, 1.0}, {2.0, kAbsent}}};
  for (int n = 2; n <= 12; ++n) {
    for (int i = 0; i < 20; ++i) cases.push_back(random_case(random, n));
    cases.push_back({std::vector<double>(static_cast<std::size_t>(n), 0.1), random_case(random, n).variant});
    cases.push_back({std::vector<double>(static_cast<std::size_t>(n), 2.0),
                     std::vector<double>(static_cast<std::size_t>(n), 2.5)});
    cases.push_back({cases.back().variant, cases.back().variant});
  }
  const std::vector<json> expected = figures_of_scipy(cases);
  if (expected.empty()) WARN("python3-scipy is not installed: this check is left out");
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO(fmt::format("{} {}", list_of(cases[i].baseline).dump(), list_of(cases[i].variant).dump()));
    check_estimate(estimate(cases[i].variant), expected[i]["mean"]);
    const PairedDifference paired = paired_difference(cases[i].baseline, cases[i].variant);
    check_estimate(paired.difference, expected[i]["difference"]);
    REQUIRE(paired.p.has_value() == !expected[i]["p"].is_null());
    if (paired.p) CHECK(*paired.p == near(expected[i]["p"]));
  }
}

TEST_CASE("statistics: equal values have no deviation, and equal pairs have no p") {
  const std::vector<double> thirds(3, 1.0 / 3.0);
  const Estimate same = estimate(thirds);
  CHECK(*same.deviation == 0.0);
  CHECK(same.interval->low == *same.mean);
  CHECK_FALSE(paired_difference(thirds, thirds).p.has_value());
}

TEST_CASE("statistics: one value has a mean, and nothing that needs two") {
  const Estimate one = estimate(std::vector<double>{3.0, kAbsent});
  CHECK(one.n == 1);
  CHECK(*one.mean == 3.0);
  CHECK_FALSE(one.deviation.has_value());
  CHECK_FALSE(one.interval.has_value());
}

TEST_CASE("statistics: a value that is infinite counts as absent") {
  CHECK(estimate(std::vector<double>{1.0, std::numeric_limits<double>::infinity()}).n == 1);
}
