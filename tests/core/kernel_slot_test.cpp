#include "core/kernel_slot.hpp"

#include <numeric>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;

namespace {

struct ShiftArgs {
  Tensor x, y;
  double by;
};
void shift(const ShiftArgs& args) {
  for (std::int64_t i = 0; i < args.x.numel(); ++i)
    args.y.data<double>()[i] = args.x.data<const double>()[i] + args.by;
}

struct SumArgs {
  Tensor x, y;
};
/// Copies x into its workspace, half by half, and sums what is there.
void sum(const SumArgs& args, Workspace& workspace) {
  const std::int64_t half = args.x.numel() / 2;
  double* const left = workspace.take<double>(half);
  double* const right = workspace.take<double>(half);
  std::copy_n(args.x.data<const double>(), half, left);
  std::copy_n(args.x.data<const double>() + half, half, right);
  *args.y.data<double>() =
      std::accumulate(left, left + half, 0.0) + std::accumulate(right, right + half, 0.0);
}

Tensor numbers(Context& context, const test::Numbers& values) {
  return test::tensor_of(context, {std::ssize(values)}, DType::f64, values);
}

}  // namespace

TEST_CASE("kernel_slot: for_each_field visits every member of a struct in order") {
  struct Mixed {
    int a;
    Grad b;
    double c;
    Tensor d;
  };
  STATIC_REQUIRE(kFields<Mixed> == 4);
  STATIC_REQUIRE(kFields<SumArgs> == 2);
  struct Three {
    int a, b, c;
  };
  std::vector<int> seen;
  for_each_field(Three{3, 1, 2}, [&](int value) { seen.push_back(value); });
  CHECK(seen == std::vector<int>{3, 1, 2});
}

TEST_CASE("kernel_slot: a kernel slot calls the kernel of its tensors' device with the named arguments") {
  Context context;
  const KernelSlot<ShiftArgs> slot("shift", shift);
  const Tensor y = Tensor::empty(context, {2}, DType::f64);
  slot({numbers(context, {1.0, 2.0}), y, 0.5});
  CHECK(test::values_of(y) == test::Numbers{1.5, 2.5});
  CHECK(slot.has(DeviceType::cpu));
  CHECK_FALSE(slot.has(DeviceType::cuda));
}

TEST_CASE("kernel_slot: a kernel slot without a tensor is the caller's mistake") {
  const KernelSlot<ShiftArgs> slot("shift", shift);
  CHECK_THROWS_WITH(slot({{}, {}, 0.5}), Catch::Contains("shift: called without a tensor"));
}

TEST_CASE("kernel_slot: a kernel's workspace is counted as scratch, rounded up by parts, and given back") {
  Context context;
  const Tensor x = numbers(context, {1.0, 2.0, 3.0, 4.0}), y = Tensor::empty(context, {1}, DType::f64);
  const auto bytes = [](const SumArgs& args, int threads) {
    CHECK(threads == 1);
    return workspace_bytes({{args.x.numel() / 2, DType::f64}, {args.x.numel() / 2, DType::f64}});
  };
  const KernelSlot<SumArgs> slot("sum", sum, bytes);
  slot({x, y});
  CHECK(y.item<double>() == 10.0);
  CHECK(context.memory().peak(MemoryCategory::scratch) == 2 * kAlignment);
  CHECK(context.memory().current(MemoryCategory::scratch) == 0);
}

TEST_CASE("kernel_slot: a kernel that takes more workspace than its slot states is a bug that is found") {
  Context context;
  const Tensor x = numbers(context, {1.0, 2.0}), y = Tensor::empty(context, {1}, DType::f64);
  const KernelSlot<SumArgs> slot("sum", sum, [](const SumArgs&, int) { return kAlignment; });
  CHECK_THROWS_WITH(slot({x, y}), Catch::Contains("a kernel takes 512 bytes of a workspace of 256"));
}
