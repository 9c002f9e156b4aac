#include "moe/routing/routing_pass.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/test_context.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

TEST_CASE("routing_pass: a pass without an extension limits no expert and tells nobody") {
  TestContext context;
  const RoutingPass routing = routing_of({.context = context, .batch = 1, .seq = 1});
  CHECK(routing.capacity == Capacity::unlimited);
  CHECK(routing.observer == nullptr);
  CHECK_FALSE(routing.balance_gradient(3).defined());
}

TEST_CASE("routing_pass: the balance losses' gradient is found by the number of the layer") {
  TestContext context;
  const std::vector<Tensor> gradients{{}, Tensor::zeros(context, {2}, DType::f32)};
  const Pass pass{
      .context = context, .batch = 1, .seq = 1, .extension = RoutingPass{.balance_gradients = gradients}};
  CHECK(routing_of(pass).balance_gradient(1).numel() == 2);
  CHECK_FALSE(routing_of(pass).balance_gradient(0).defined());
}

TEST_CASE(
    "routing_pass: an extension for other layers is an error, and so is a side output that is no loss") {
  TestContext context;
  const Pass pass{.context = context, .batch = 1, .seq = 1, .extension = 7};
  CHECK_THROWS_WITH(routing_of(pass), Contains("the pass has an extension for other layers"));
  CHECK_THROWS_WITH(loss_of({{}, std::string("mse")}), Contains("a side output is not a loss"));
}
