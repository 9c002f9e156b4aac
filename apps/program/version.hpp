// What this build is and on what it runs: the text of `granule --version`.
#pragma once
#include <string>

namespace granule {

[[nodiscard]] std::string program_version();
/// The commit that it was built from, followed by "-dirty" if there were uncommitted changes.
[[nodiscard]] std::string program_commit();
/// The instruction set that kernels use on this machine, by Highway's name: "AVX3_ZEN4", "AVX2", ….
[[nodiscard]] std::string cpu_target();
/// "0.1.0 (0cf68c4a1b2c)".
[[nodiscard]] std::string version_and_commit();

/// Several lines: version and commit, the instruction set that kernels choose on this machine, the CUDA
/// plug-in, NCCL and MPI.
[[nodiscard]] std::string version_text();

}  // namespace granule
