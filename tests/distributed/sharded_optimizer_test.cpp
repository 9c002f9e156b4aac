#include "distributed/zero/sharded_optimizer.hpp"

#include <cmath>

#include "distributed/communicators/self_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("sharded_optimizer: the host waits once for the norm, however many buckets there are") {
  for (const std::int64_t units : {1, 7}) {
    CAPTURE(units);
    TestContext context;
    SelfCommunicator alone;
    const Mesh mesh = make_mesh(alone, {});
    ParameterStore store;
    for (std::int64_t unit = 0; unit < units; ++unit) {
      if (unit > 0) store.next_unit();
      store.declare(std::to_string(unit), {5, 13});
    }
    store.lay_out(shard_world(mesh).layout());
    store.materialise(context, DType::f64, Gradients::yes, residence_of(ZeroStage::nothing));
    const ShardedParameters parameters(context, mesh, store, ZeroStage::nothing, DType::f64);
    REQUIRE(std::ssize(parameters.plan().shards) == units);
    const Numbers gradients = normal_values(store.arena_size(), 5);
    write_values(gradients, store.gradients());
    double sum = 0.0;
    for (const double g : gradients) sum += g * g;
    CHECK(GradientNorm(parameters).get() == Approx(std::sqrt(sum)).epsilon(1e-13));  // some 500 roundings
    CHECK(context.profile().waits() == 1);
  }
}
