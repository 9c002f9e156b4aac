#include "moe/ops/balance_branch.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("balance_branch: it passes numbers and gradients on, and adds up the router's share") {
  const auto rows = plain([](Context& context, DType dtype) {
    return tensor_of(context, {3, 5}, dtype, normal_values(15, 9));
  });
  check_op(
      {.name = "balance_branch", .bf16 = true}, BalanceBranch{},
      [](const std::vector<Numbers>& in) { return in[0]; }, wide_variable({3, 2}), rows);
  TestContext context;
  const Tensor logits = tensor_of(context, {2, 2}, DType::f64, Numbers{1, 2, 3, 4});
  const Tensor x = tensor_of(context, {2, 3}, DType::f64, Numbers{1, 0, 2, 0, 1, 3});
  const Tensor share = tensor_of(context, {2, 3}, DType::f64, Numbers{10, 10, 10, 20, 20, 20});
  BalanceBranch::Saved saved;
  const BalanceBranch op{share};
  static_cast<void>(op.forward(&saved, logits, x));
  op.backward(saved, tensor_of(context, {2, 2}, DType::f64, Numbers{1, 2, 3, 4}), {});
  //   dyᵀ x = (1·(1 0 2) + 3·(0 1 3); 2·(1 0 2) + 4·(0 1 3)) = (1 3 11; 2 4 16), added
  CHECK(values_of(share) == Numbers{11, 13, 21, 22, 24, 36});
}
