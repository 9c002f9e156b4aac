#include "apps/report/statistics/sentences.hpp"

#include "tests/support/catch.hpp"

using namespace granule;
using Catch::Contains;

namespace {

using Values = std::vector<double>;

std::string difference_text(const Values& baseline, const Values& variant) {
  return difference_sentence(paired_difference(baseline, variant), "nats");
}

}  // namespace

TEST_CASE("sentences: an error has two digits, and the value ends at the same place") {
  CHECK(with_error(5.12345, 0.01512) == "5.123 ± 0.015");
  CHECK(with_error(-0.0211, 0.0153) == "−0.021 ± 0.015");
  CHECK(with_error(812.3, 123.4) == "812 ± 123");
  CHECK(with_error(2.0, 0.0) == "2.0000 ± 0.0000");
}

TEST_CASE("sentences: three seeds have an interval and a test") {
  CHECK(mean_sentence(estimate(Values{3.00, 3.01, 3.02}), "nats") ==
        "3 seeds: the mean is 3.010 ± 0.025 nats (95 % interval).");
  CHECK_THAT(
      difference_text({3.0, 3.1, 3.2}, {2.97, 3.08, 3.18}),
      Contains("3 seeds: the difference is −0.023 ± 0.014 nats (95 % interval, paired t-test, p = 0.02).") &&
          !Contains("Chance alone"));
}

TEST_CASE("sentences: a difference that chance makes is called so") {
  CHECK_THAT(difference_text({3.0, 3.1, 3.2}, {3.01, 3.08, 3.21}), Contains("Chance alone can explain it."));
}

TEST_CASE("sentences: too few seeds are said to be too few") {
  CHECK_THAT(difference_text({3.0}, {2.9}), Contains("1 seed: the difference is −0.1000 nats.") &&
                                                Contains("says nothing about chance") &&
                                                Contains("run at least 3 seeds"));
  CHECK_THAT(difference_text({3.0, 3.1}, {2.9, 3.05}), Contains("2 seeds are too few to trust it"));
  CHECK_THAT(mean_sentence(estimate(Values{3.0}), "nats"), Contains("run at least 3 seeds"));
  CHECK_THAT(mean_sentence(estimate(Values{3.0, 3.1}), "nats"), Contains("2 seeds are too few to trust it"));
  CHECK(difference_text({}, {}) == "No seed has a value of both.");
}

TEST_CASE("sentences: runs that do not count are said") {
  const Estimate three = estimate(Values{3.0, 3.1, 3.2});
  CHECK_THAT(mean_sentence(three, "nats", {.incomplete = 2}),
             Catch::EndsWith(" 2 runs are not complete and not counted."));
  CHECK_THAT(mean_sentence(three, "nats", {.without_value = 1}),
             Catch::EndsWith(" 1 run is without a finite value and not counted."));
  CHECK(mean_sentence(estimate(Values{}), "nats", {.incomplete = 3}) == "No run is complete yet.");
  CHECK(mean_sentence(estimate(Values{}), "nats", {.without_value = 3}) == "No run has a finite value.");
}

TEST_CASE("sentences: equal values are called the same") {
  CHECK(difference_text({1.0, 2.0, 3.0}, {1.0, 2.0, 3.0}) == "3 seeds: both have the same values.");
}
