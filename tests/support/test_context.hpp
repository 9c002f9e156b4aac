// The Context of a test. Every test runs on the CPU, with GRANULE_TEST_DEVICE=mirror on the mirror device,
// and with GRANULE_TEST_DEVICE=cuda on the device that the CUDA plug-in finds. With
// GRANULE_TEST_BF16=other-units, products of bf16 are not the fastest but the next ones that the machine has.
// With GRANULE_TEST_AT_MOST=AVX2, kernels are those of a processor that has no better instruction set.
#pragma once
#include "core/context.hpp"

namespace granule::test {

/// The device that the environment names.
[[nodiscard]] Device test_device();
/// Whether it is slow to compute there, because it may be emulated. Then tests do not do the same again and
/// again.
[[nodiscard]] bool computes_slowly();

class TestContext : public Context {
 public:
  /// The device's number is that of the options, if there are several.
  explicit TestContext(ContextOptions options = {});
};

}  // namespace granule::test
