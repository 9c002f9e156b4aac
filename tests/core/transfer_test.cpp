// How often the host waits for what it reads back.
#include "core/transfer.hpp"

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_context.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Tensor filled(Context& context, double value) {
  const Tensor tensor = Tensor::empty(context, {3}, DType::f64);
  fill(tensor, value);
  return tensor;
}

}  // namespace

TEST_CASE("transfer: one wait is for all copies that have begun, and not for later ones") {
  TestContext context({.step_memory = std::int64_t{1} << 20});
  const Tensor a = filled(context, 1.0), b = filled(context, 2.0);
  const HostCopy<double> first = read_back<double>(a), second = read_back<double>(b);
  CHECK(context.profile().waits() == 0);
  CHECK(second.get()[2] == 2.0);
  CHECK(first.get()[0] == 1.0);
  CHECK(context.profile().waits() == 1);
  CHECK(read_back<double>(a).get()[1] == 1.0);
  CHECK(context.profile().waits() == 2);
}

TEST_CASE("transfer: copies of a host copy share its values and its wait") {
  TestContext context({.step_memory = std::int64_t{1} << 20});
  HostCopy<double> copy = read_back<double>(filled(context, 5.0));
  const HostCopy<double> kept = copy;
  CHECK(copy.get()[0] == 5.0);
  copy = {};
  CHECK_FALSE(copy.defined());
  CHECK(kept.get()[0] == 5.0);
  CHECK(context.profile().waits() == 1);
}

TEST_CASE("transfer: a host copy that nobody reads does no harm to later ones") {
  TestContext context({.step_memory = std::int64_t{1} << 20});
  static_cast<void>(read_back<double>(filled(context, 7.0)));
  CHECK(read_back<double>(filled(context, 8.0)).get()[0] == 8.0);
}
