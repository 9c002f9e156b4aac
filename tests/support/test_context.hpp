// The Context of a test. Every test runs on the CPU, and with GRANULE_TEST_DEVICE=mirror on the mirror
// device.
#pragma once
#include "core/context.hpp"

namespace granule::test {

/// The device that the environment names.
[[nodiscard]] Device test_device();

class TestContext : public Context {
 public:
  explicit TestContext(ContextOptions options = {});
};

}  // namespace granule::test
