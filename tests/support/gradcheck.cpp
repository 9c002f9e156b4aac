#include "tests/support/gradcheck.hpp"

namespace granule::test {

std::vector<double> central_differences(const ScalarFunction& f, std::span<const double> x, double step) {
  std::vector<double> moved(x.begin(), x.end());
  std::vector<double> derivative(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    moved[i] = x[i] + step;
    const double above = moved[i], f_above = f(moved);
    moved[i] = x[i] - step;
    derivative[i] = (f_above - f(moved)) / (above - moved[i]);  // divided by the actual step
    moved[i] = x[i];
  }
  return derivative;
}

double directional_difference(const ScalarFunction& f, std::span<const double> x,
                              std::span<const double> direction, double step) {
  std::vector<double> moved(x.size());
  const auto at = [&](double t) {
    for (std::size_t i = 0; i < x.size(); ++i) moved[i] = x[i] + t * direction[i];
    return f(moved);
  };
  return (at(step) - at(-step)) / (2.0 * step);
}

}  // namespace granule::test
