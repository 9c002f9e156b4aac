// Derivatives by central differences in float64. Gradients are compared with them.
#pragma once
#include <functional>
#include <span>
#include <vector>

namespace granule::test {

using ScalarFunction = std::function<double(std::span<const double>)>;

/// df/dx_i for every i. The error of a difference is about step²·f''' / 6 + 1e-16·|f| / step.
[[nodiscard]] std::vector<double> central_differences(const ScalarFunction& f, std::span<const double> x,
                                                      double step = 1e-5);
/// df/dt of f(x + t·direction) at t = 0.
[[nodiscard]] double directional_difference(const ScalarFunction& f, std::span<const double> x,
                                            std::span<const double> direction, double step = 1e-5);

}  // namespace granule::test
