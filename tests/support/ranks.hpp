// Ranks as threads of the test, each with a Context of its own.
#pragma once
#include <functional>

#include "core/context.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule::test {

/// Runs body on n thread ranks and joins them all; the first failure is thrown again and names its rank.
/// Catch's own checks are not for threads: a body throws, or stores what it found.
void run_ranks(int n, const std::function<void(Communicator&, Context&)>& body);

/// For bodies: throws unless `condition` holds.
void expect(bool condition, std::string_view what);

}  // namespace granule::test
