// The entropy of a row of scores.
#pragma once
#include <cstdint>

namespace granule {

/// −Σ (s/σ) log(s/σ) in nats over s[0, n), with σ = Σ s; 0 if σ is not positive. Scores that are not positive
/// have no term in the outer sum. T is float or double.
template <class T>
[[nodiscard]] double entropy_row(const T* s, std::int64_t n);

}  // namespace granule
