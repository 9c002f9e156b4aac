#include "core/kernels/entropy.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// As the definition has it, with normalised scores.
double plain_entropy(const Numbers& scores) {
  double total = 0.0, entropy = 0.0;
  for (const double score : scores) total += score;
  for (const double score : scores)
    if (score > 0.0) entropy -= score / total * std::log(score / total);
  return entropy;
}

template <class T>
void check(const Numbers& scores, double tolerance) {
  const std::vector<T> row(scores.begin(), scores.end());
  const Numbers rounded(row.begin(), row.end());
  CAPTURE(scores.size(), sizeof(T));
  // The entropy is of the size of log n, and it is the difference of two numbers of that size.
  CHECK(std::abs(entropy_row(row.data(), std::ssize(row)) - plain_entropy(rounded)) <=
        tolerance * (1.0 + std::log(double(row.size()))));
}

}  // namespace

TEST_CASE("entropy: rows of any length, with zeros and with scores that do not add up to one") {
  for (const std::int64_t n : {1, 2, 7, 16, 33, 64, 200}) {
    Numbers scores = normal_values(n, std::uint64_t(n));
    for (double& score : scores) score = std::exp(3.0 * score);
    if (n > 2) scores[std::size_t(n / 2)] = 0.0;
    check<float>(scores, 1e-6);
    check<double>(scores, 1e-14);
  }
  check<float>({0.25, 0.25, 0.25, 0.25}, 1e-6);
  check<float>({1e-30, 1.0, 3e-38}, 1e-6);
}

TEST_CASE("entropy: it is 0 for a sure choice, and where no score is positive") {
  const float sure[] = {0.0F, 1.0F, 0.0F}, none[] = {0.0F, 0.0F, 0.0F},
              unknown[] = {std::numeric_limits<float>::quiet_NaN(), 1.0F, 0.0F};
  CHECK(entropy_row(sure, 3) == 0.0);
  CHECK(entropy_row(none, 3) == 0.0);
  CHECK(entropy_row(none, 0) == 0.0);
  CHECK(entropy_row(unknown, 3) == 0.0);
}
