// What every communicator has to do, as cases that any of them can run: alone, on threads, under mpirun.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/context.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule::test {

struct CollectiveCase {
  std::string name;
  /// Throws on a wrong result.
  std::function<void(Communicator&, Context&)> run;
};
[[nodiscard]] std::vector<CollectiveCase> collective_cases();

}  // namespace granule::test
