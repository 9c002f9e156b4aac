// Collectives on tensors that host code may not touch: on the mirror device, whatever the tests run on.
#include "distributed/communicators/host_staging.hpp"

#include "distributed/communicators/self_communicator.hpp"
#include "distributed/communicators/thread_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/collective_cases.hpp"
#include "tests/support/mirror_device.hpp"

using namespace granule;
using namespace granule::test;

namespace {

ContextOptions on_mirror() {
  // Ranks are threads, and a device is offered before they run.
  static const bool offered = (offer_device(DeviceType::cuda, make_mirror_device), true);
  static_cast<void>(offered);
  return {.device = {DeviceType::cuda}, .step_memory = std::int64_t{1} << 26};
}

}  // namespace

TEST_CASE("host_staging: every collective carries tensors of a device, on 1, 2, 3 and 4 thread ranks") {
  const int n = GENERATE(1, 2, 3, 4);
  for (const CollectiveCase& one : collective_cases()) {
    INFO(one.name << " on " << n);
    CHECK_NOTHROW(run_thread_ranks(n, [&](Communicator& ranks) {
      Context context(on_mirror());
      one.run(ranks, context);
    }));
  }
}

TEST_CASE("host_staging: ranks on a device and ranks on the CPU run collectives together") {
  for (const CollectiveCase& one : collective_cases()) {
    INFO(one.name);
    CHECK_NOTHROW(run_thread_ranks(3, [&](Communicator& ranks) {
      Context context(ranks.rank() == 1 ? ContextOptions{} : on_mirror());
      one.run(ranks, context);
    }));
  }
}

TEST_CASE("host_staging: one rank alone copies on the device and waits for nothing") {
  SelfCommunicator alone;
  Context context(on_mirror());
  const Tensor part = Tensor::zeros(context, {1000}, DType::f32),
               whole = Tensor::empty(context, {1000}, DType::f32);
  alone.all_gather(part, whole, "values").wait();
  alone.all_reduce(whole, "sum").wait();
  CHECK(context.profile().waits() == 0);
  CHECK(context.memory(Place::host).peak_total() == 0);
}

TEST_CASE("host_staging: a collective waits once for its device, and its staging is memory of the host") {
  run_thread_ranks(2, [&](Communicator& ranks) {
    Context context(on_mirror());
    const Tensor data = Tensor::zeros(context, {1000}, DType::f32);
    ranks.all_reduce(data, "sum").wait();
    GRANULE_CHECK(context.profile().waits() == 1, "{} waits", context.profile().waits());
    const std::int64_t staged = context.memory(Place::host).peak(MemoryCategory::communication);
    GRANULE_CHECK(staged == 4000, "{} bytes of staging", staged);
    GRANULE_CHECK(context.memory(Place::host).current_total() == 0, "staging is left");
  });
}

TEST_CASE("host_staging: a collective does not move data from one device to another") {
  SelfCommunicator alone;
  Context context(on_mirror());
  const Tensor device = Tensor::zeros(context, {4}, DType::f32);
  const Tensor host = Tensor::empty(context, {4}, DType::f32, MemoryCategory::communication, Place::host);
  CHECK_THROWS_WITH(alone.all_gather(device, host, "p"), Catch::Contains("from one device to another"));
}
