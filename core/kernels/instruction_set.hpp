// The instruction set that kernels are chosen for when the program runs: by default the best one that was
// compiled and that the machine has. Another one computes other last bits.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace granule {

/// Names of Highway's targets that can be used here, best first.
[[nodiscard]] std::vector<std::string> instruction_sets();
/// The one in use: the first of them.
[[nodiscard]] std::string instruction_set();
/// From now on no better one than this is used, in matrix products neither. False when it is not one of
/// instruction_sets(). To be called before the first kernel runs.
[[nodiscard]] bool use_instruction_set(std::string_view name);
/// The least of several names: machines that have a better one have it too.
[[nodiscard]] std::string common_instruction_set(std::span<const std::string> names);

}  // namespace granule
