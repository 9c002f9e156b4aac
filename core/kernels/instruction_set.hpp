// The instruction set that kernels are chosen for when the program runs. By default it is the best one that
// was compiled and that the machine has. Another one computes other last bits.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/kernels/bf16_support.hpp"

namespace granule {

/// Names of Highway's targets that can be used here, fastest first. "+bf16" after a name means that products
/// of bf16 use the processor's own vectors (AVX512-BF16), and "+amx" that they use its tiles.
[[nodiscard]] std::vector<std::string> instruction_sets();
/// The instruction set in use, which is the first of instruction_sets().
[[nodiscard]] std::string instruction_set();
/// How products of bf16 are computed.
[[nodiscard]] Bf16Units bf16_units();
/// From now on neither a better target nor greater units are used, and matrix products use none either.
/// Returns false if the name is not one of instruction_sets(). Call it before the first kernel runs.
[[nodiscard]] bool use_instruction_set(std::string_view name);
/// The least target and the least units of several names. Machines that have better ones also have these.
[[nodiscard]] std::string common_instruction_set(std::span<const std::string> names);

}  // namespace granule
