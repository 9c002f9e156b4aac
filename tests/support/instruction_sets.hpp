// Runs kernels that are compiled for several instruction sets, one set after the other.
#pragma once
#include <hwy/highway.h>

namespace granule::test {

/// Calls body(name) under every instruction set that was compiled and that this machine has. Afterwards the
/// best one is chosen again.
template <class Body>
void for_each_instruction_set(const Body& body) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::GetChosenTarget().Update(target);
    body(hwy::TargetName(target));
  }
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace granule::test
