#include "core/kernels/accumulate.hpp"
#include "core/kernels/fill.hpp"
#include "core/transfer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faults.hpp"
#include "tests/support/mirror_device.hpp"

using namespace granule;
using granule::test::faults;

namespace {

ContextOptions on_mirror() {
  offer_device(DeviceType::cuda, test::make_mirror_device);
  return {.device = {DeviceType::cuda}, .step_memory = std::int64_t{1} << 24};
}

Tensor tensor_of(Context& context, const std::vector<double>& values,
                 MemoryCategory category = MemoryCategory::activations) {
  Tensor tensor = Tensor::empty(context, {std::ssize(values)}, DType::f64, category);
  write(std::span(values), tensor);
  return tensor;
}

std::vector<double> values_of(const Tensor& tensor) {
  const HostCopy<double> copy = read_back<double>(tensor);
  return {copy.get().begin(), copy.get().end()};
}

}  // namespace

TEST_CASE("host code that touches the mirror's memory faults, and asks in vain for a span or an item") {
  Context context(on_mirror());
  for (const auto category : {MemoryCategory::activations, MemoryCategory::weights}) {
    const Tensor tensor = tensor_of(context, {1.0}, category);
    CHECK(tensor.device() == Device{DeviceType::cuda});
    const volatile std::byte* const address = tensor.raw();
    CHECK(faults([address] { static_cast<void>(*address); }));
    CHECK_THROWS_WITH(tensor.item<double>(), Catch::Contains("the host reads it by read_back alone"));
    CHECK_THROWS_WITH(tensor.span<double>(), Catch::Contains("the host reads it by read_back alone"));
  }
}

TEST_CASE("values reach the mirror by write and come back by read_back, after one wait") {
  Context context(on_mirror());
  const Tensor tensor = tensor_of(context, {1.0, 2.0, 3.0});
  const HostCopy<double> copy = read_back<double>(tensor);
  fill_zero(tensor);  // its turn comes after that of the copy
  CHECK(context.profile().waits() == 0);
  CHECK(copy.get()[2] == 3.0);
  CHECK(copy.get()[0] == 1.0);
  CHECK(context.profile().waits() == 1);
  CHECK(values_of(tensor) == std::vector<double>{0.0, 0.0, 0.0});
}

TEST_CASE("kernels compute on the mirror what they compute on the CPU") {
  Context context(on_mirror());
  const Tensor a = tensor_of(context, {1.0, 2.0}), b = tensor_of(context, {10.0, 20.0});
  accumulate(a, {b, 1.0});
  CHECK(values_of(b) == std::vector<double>{11.0, 22.0});
}

TEST_CASE("a kernel cannot touch memory that it was not given") {
  Context context(on_mirror());
  const Tensor given = tensor_of(context, {1.0}, MemoryCategory::weights),
               other = tensor_of(context, {1.0}, MemoryCategory::weights);
  struct Args {
    Tensor given;
    const std::byte* other;
  };
  static bool faulted = false;
  const KernelSlot<Args> slot("peek", [](const Args& args) {
    *args.given.data<double>() = 2.0;
    const volatile std::byte* const address = args.other;
    faulted = faults([address] { static_cast<void>(*address); });
  });
  slot({given, other.raw()});
  CHECK(faulted);
  CHECK(values_of(given) == std::vector<double>{2.0});
}

TEST_CASE("tensors of the host beside a device are ordinary memory, and counted apart") {
  Context context(on_mirror());
  const Tensor host = Tensor::empty(context, {4}, DType::f64, MemoryCategory::communication, Place::host);
  CHECK(host.device() == Device{});
  CHECK(host.span<double>().size() == 4);
  CHECK(context.memory().current_total() == 0);
  CHECK(context.memory(Place::host).current_total() == 32);
  const Tensor device = tensor_of(context, {1.0, 2.0, 3.0, 4.0});
  CHECK_THROWS_WITH(accumulate(host, {device, 1.0}), Catch::Contains("on different devices"));
}

TEST_CASE("step memory of the mirror has fences too") {
  ContextOptions options = on_mirror();
  options.poison = Poison::yes;
  Context context(options);
  struct Args {
    Tensor y;
  };
  const KernelSlot<Args> slot("overrun", [](const Args& args) { args.y.data<double>()[2] = 1.0; });
  { slot({tensor_of(context, {1.0, 2.0})}); }
  CHECK(context.step_memory().damaged_blocks() == 1);
}
