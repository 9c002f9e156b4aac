#include "tests/support/test_context.hpp"

#include <cstdlib>
#include <string_view>

#include "core/error.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/plugin.hpp"
#include "tests/support/mirror_device.hpp"

namespace granule::test {
namespace {

constexpr std::int64_t kStepMemory = std::int64_t{512} << 20;

/// Chooses the instruction set once, before the first kernel runs.
void choose_bf16() {
  static const bool chosen = [] {
    const char* const named = std::getenv("GRANULE_TEST_BF16");
    if (named == nullptr) return true;
    GRANULE_CHECK(std::string_view(named) == "without-units",
                  "GRANULE_TEST_BF16 is {}, without-units is known", named);
    const std::string best = instruction_set();
    return use_instruction_set(best.substr(0, best.find('+')));
  }();
  GRANULE_CHECK(chosen, "GRANULE_TEST_BF16: {} cannot be used without units", instruction_set());
}

ContextOptions on_test_device(ContextOptions options) {
  choose_bf16();
  const int number = options.device.index;
  options.device = test_device();
  if (options.device.type != DeviceType::cpu) options.device.index = number;
  // Otherwise it takes what is free, and several tests cannot share a GPU.
  if (computes_slowly() && options.step_memory == 0) options.step_memory = kStepMemory;
  return options;
}

}  // namespace

Device test_device() {
  static const Device device = [] {
    const char* const named = std::getenv("GRANULE_TEST_DEVICE");
    if (named == nullptr) return Device{};
    if (std::string_view(named) == "mirror") {
      offer_device(DeviceType::cuda, make_mirror_device);
    } else {
      GRANULE_CHECK(std::string_view(named) == "cuda", "GRANULE_TEST_DEVICE is {}, mirror and cuda are known",
                    named);
      const CudaStatus status = load_cuda_plugin();
      GRANULE_CHECK(status.state == CudaState::ready, "GRANULE_TEST_DEVICE: {}", status.reason);
    }
    return Device{DeviceType::cuda};
  }();
  return device;
}

bool computes_slowly() {
  const char* const named = std::getenv("GRANULE_TEST_DEVICE");
  return named != nullptr && std::string_view(named) == "cuda";
}

TestContext::TestContext(ContextOptions options) : Context(on_test_device(options)) {}

}  // namespace granule::test
