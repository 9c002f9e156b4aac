// Ranks as processes that a test forks. Each has an emulated machine of its own.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace cuda_emulation {

/// A process that is right ends long before, also under a sanitizer on a busy machine.
inline constexpr std::chrono::seconds kPatience{120};

/// Runs body(rank) in n processes. Returns what each has thrown, "" if it has thrown nothing, and "hangs" if
/// it had to be killed because it said nothing for so long.
[[nodiscard]] std::vector<std::string> in_processes(int n, const std::function<void(int rank)>& body,
                                                    std::chrono::seconds patience = kPatience);

}  // namespace cuda_emulation
