// The data races that ThreadSanitizer finds, so that a test can expect some. Any that no test has taken make
// the program fail at its end.
#pragma once
#include <optional>

namespace cuda_emulation {

/// How many were found since the last call. Absent without ThreadSanitizer.
std::optional<int> take_races();

}  // namespace cuda_emulation
