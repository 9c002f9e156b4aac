// How much address space a process may still take. Batch systems limit it with `ulimit -v`.
#pragma once
#include <cstdint>
#include <optional>

namespace granule {

/// What `ulimit -v` and `ulimit -d` leave to this process. Absent if there is no such limit.
[[nodiscard]] std::optional<std::int64_t> address_space_left();

/// How much to reserve for a step: all physical memory. If address space is limited, it is half of what is
/// left, because weights, threads and mapped files need some too.
[[nodiscard]] std::int64_t default_step_memory();

}  // namespace granule
