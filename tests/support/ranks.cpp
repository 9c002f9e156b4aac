#include "tests/support/ranks.hpp"

#include "distributed/communicators/thread_communicator.hpp"
#include "tests/support/test_context.hpp"

namespace granule::test {

void run_ranks(int n, const std::function<void(Communicator&, Context&)>& body) {
  run_thread_ranks(n, [&](Communicator& ranks) {
    TestContext context;
    body(ranks, context);
  });
}

void expect(bool condition, std::string_view what) {
  if (!condition) throw Error(ExitCode::failure, what, "expected in a test", "");
}

}  // namespace granule::test
