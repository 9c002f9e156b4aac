// What every communicator must do, as cases that each of them can run: alone, on threads and under mpirun.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/context.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule::test {

struct CollectiveCase {
  std::string name;
  /// Throws if a result is wrong.
  std::function<void(Communicator&, Context&)> run;
};
[[nodiscard]] std::vector<CollectiveCase> collective_cases();

}  // namespace granule::test
