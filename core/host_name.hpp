// What this machine is called in messages and files.
#pragma once
#include <string>

namespace granule {

/// GRANULE_HOST_NAME of the environment, for machines that all have the same name; otherwise the system's
/// name, or "?" if it has none.
[[nodiscard]] std::string host_name();

}  // namespace granule
