#include "core/meta_device.hpp"

#include "core/kernels/fill.hpp"
#include "core/ops/rms_norm.hpp"
#include "core/transfer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faults.hpp"

using namespace granule;

namespace {

ContextOptions on_meta(int threads = 1) {
  return {.threads = threads, .device = {DeviceType::meta}};
}

struct CountArgs {
  Tensor x;
};
int calls = 0;
void count_call(const CountArgs& /*args*/, Workspace& /*workspace*/) {
  ++calls;
}
std::int64_t five_a_thread(const CountArgs& /*args*/, int threads) {
  return 500 * threads;
}
const KernelSlot<CountArgs> slot{"count", count_call, five_a_thread};

}  // namespace

TEST_CASE("meta device: memory has addresses of its own, and nobody can touch them") {
  Context context(on_meta());
  // Together they are more than any machine has.
  const Tensor a = Tensor::empty(context, {std::int64_t{1} << 45}, DType::f32, MemoryCategory::weights);
  const Tensor b = Tensor::empty(context, {std::int64_t{1} << 45}, DType::f32, MemoryCategory::weights);
  const Tensor c = Tensor::empty(context, {1000}, DType::f32);
  CHECK(b.raw() - a.raw() == a.bytes());
  CHECK(c.device() == Device{DeviceType::meta});
  CHECK(context.memory().current(MemoryCategory::weights) == std::int64_t{1} << 48);
  for (const Tensor& tensor : {a, b, c}) {
    const volatile std::byte* const address = tensor.raw();
    CHECK(granule::test::faults([address] { static_cast<void>(*address); }));
  }
  CHECK_THROWS_WITH(c.span<float>(), Catch::Contains("the host reads it by read_back alone"));
}

TEST_CASE("meta device: a kernel gets its workspace for the declared threads, and does not run") {
  Context context(on_meta(64));
  CHECK(context.pool().size() == 1);
  const Tensor x = Tensor::empty(context, {10}, DType::f32);
  calls = 0;
  slot({x});
  CHECK(calls == 0);
  CHECK(context.memory().peak(MemoryCategory::scratch) == 64 * 500);
  CHECK(context.memory().current(MemoryCategory::scratch) == 0);
  Context cpu({.threads = 2});
  slot({Tensor::empty(cpu, {10}, DType::f32)});
  CHECK(calls == 1);
  CHECK(cpu.memory().peak(MemoryCategory::scratch) == 2 * 500);
}

TEST_CASE("meta device: tensors of the host keep their bytes, and what comes from the device is zero") {
  Context context(on_meta());
  const Tensor tensor = Tensor::empty(context, {3}, DType::i64);
  const std::vector<std::int64_t> numbers{1, 2, 3};
  write<std::int64_t>(numbers, tensor);
  const HostCopy<std::int64_t> copy = read_back<std::int64_t>(tensor);
  CHECK(std::vector(copy.get().begin(), copy.get().end()) == std::vector<std::int64_t>{0, 0, 0});
  CHECK(context.profile().waits() == 1);
  const Tensor host = Tensor::empty(context, {3}, DType::i64, MemoryCategory::communication, Place::host);
  write<std::int64_t>(numbers, host);
  CHECK(host.span<std::int64_t>()[2] == 3);
}

TEST_CASE("meta device: an operator allocates what it allocates on the CPU") {
  const auto peak_of = [](const ContextOptions& options) {
    Context context(options);
    const Tensor x = Tensor::empty(context, {300, 64}, DType::f32),
                 w = Tensor::empty(context, {64}, DType::f32);
    const Tensor dy = Tensor::empty(context, {300, 64}, DType::f32),
                 dw = Tensor::zeros(context, {64}, DType::f32);
    if (context.keeps_bytes()) {
      for (const Tensor& tensor : {x, w, dy}) fill_zero(tensor);
    }
    RmsNorm::Saved saved;
    const RmsNorm op{1e-6};
    const Tensor y = op.forward(&saved, x, w);
    op.backward(saved, w, dy, {y, 0.0}, {dw, 1.0});
    return std::pair(context.memory().peak_total(), context.memory().peak(MemoryCategory::scratch));
  };
  CHECK(peak_of(on_meta(3)) == peak_of({.threads = 3}));
  CHECK(peak_of(on_meta(3)).second > 0);
}
