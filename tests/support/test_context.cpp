#include "tests/support/test_context.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/error.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/plugin.hpp"
#include "tests/support/mirror_device.hpp"

namespace granule::test {
namespace {

constexpr std::int64_t kStepMemory = std::int64_t{512} << 20;

/// The instruction set that the tests use, or an empty name for the best one.
std::string wanted_instruction_set() {
  if (const char* const named = std::getenv("GRANULE_TEST_BF16")) {
    GRANULE_CHECK(std::string_view(named) == "other-units", "GRANULE_TEST_BF16 is {}, other-units is known",
                  named);
    // The next set differs from the first in its units, if the processor has any.
    const std::vector<std::string> sets = instruction_sets();
    const auto target = [](const std::string& name) { return name.substr(0, name.find('+')); };
    return sets.size() > 1 && target(sets[1]) == target(sets[0]) ? sets[1] : sets[0];
  }
  if (const char* const named = std::getenv("GRANULE_TEST_AT_MOST")) {
    GRANULE_CHECK(std::string_view(named) == "AVX2", "GRANULE_TEST_AT_MOST is {}, AVX2 is known", named);
    // A machine that does not have it has less.
    const std::vector<std::string> sets = instruction_sets();
    if (std::ranges::find(sets, named) != sets.end()) return named;
  }
  return {};
}

bool choose_instruction_set() {
  const std::string wanted = wanted_instruction_set();
  const bool chosen = wanted.empty() || use_instruction_set(wanted);
  GRANULE_CHECK(chosen, "the tests cannot use the instruction set {}", wanted);
  return chosen;
}

// It must be chosen before the first kernel runs, and many tests have no context of ours.
[[maybe_unused]] const bool chosen = choose_instruction_set();

ContextOptions on_test_device(ContextOptions options) {
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
