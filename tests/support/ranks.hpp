// Ranks as threads of the test. Each has its own Context.
#pragma once
#include <functional>

#include "core/context.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule::test {

/// Runs body on n thread ranks and joins all of them. The first failure is thrown again and names its rank.
/// Catch's own checks do not work in threads, so a body throws, or stores what it found.
void run_ranks(int n, const std::function<void(Communicator&, Context&)>& body);

/// For bodies. Throws unless `condition` is true.
void expect(bool condition, std::string_view what);

}  // namespace granule::test
