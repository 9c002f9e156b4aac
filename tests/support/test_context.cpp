#include "tests/support/test_context.hpp"

#include <cstdlib>
#include <string_view>

#include "core/error.hpp"
#include "tests/support/mirror_device.hpp"

namespace granule::test {
namespace {

ContextOptions on_test_device(ContextOptions options) {
  options.device = test_device();
  return options;
}

}  // namespace

Device test_device() {
  static const Device device = [] {
    const char* const named = std::getenv("GRANULE_TEST_DEVICE");
    if (named == nullptr) return Device{};
    GRANULE_CHECK(std::string_view(named) == "mirror", "GRANULE_TEST_DEVICE is {}, mirror is known", named);
    offer_device(DeviceType::cuda, make_mirror_device);
    return Device{DeviceType::cuda};
  }();
  return device;
}

TestContext::TestContext(ContextOptions options) : Context(on_test_device(options)) {}

}  // namespace granule::test
