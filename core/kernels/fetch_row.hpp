// Asks the memory for what is needed soon. Rows of a wide matrix lie so far apart that the processor does not
// fetch them by itself.
#pragma once
#include <cstdint>

namespace granule {

/// Asks for a row that is read or written soon. It may lie outside all matrices, and then nothing happens.
template <class T>
void fetch_row(const T* row, std::int64_t n) {
  constexpr auto kLine = static_cast<std::int64_t>(64 / sizeof(T));
  for (std::int64_t i = 0; i < n; i += kLine) __builtin_prefetch(row + i);
}

}  // namespace granule
