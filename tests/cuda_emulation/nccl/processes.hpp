// Ranks as processes that a test forks. Each has an emulated machine of its own.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace cuda_emulation {

/// Runs body(rank) in n processes. Returns what each has thrown, "" if it has thrown nothing, and "hangs" if
/// it had to be killed after some seconds.
[[nodiscard]] std::vector<std::string> in_processes(int n, const std::function<void(int rank)>& body);

}  // namespace cuda_emulation
