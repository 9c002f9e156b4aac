// What this build is and what it runs on: the text of `granule --version`.
#pragma once
#include <string>

namespace granule {

[[nodiscard]] std::string program_version();
/// The commit it was built from, "-dirty" with uncommitted changes.
[[nodiscard]] std::string program_commit();
/// The instruction set that kernels use on this machine, by Highway's name: "AVX3_ZEN4", "AVX2", ….
[[nodiscard]] std::string cpu_target();
/// "0.1.0 (0cf68c4a1b2c)".
[[nodiscard]] std::string version_and_commit();

/// Version and commit, the instruction set the kernels choose on this machine, the CUDA plug-in, NCCL and
/// MPI. Several lines.
[[nodiscard]] std::string version_text();

}  // namespace granule
