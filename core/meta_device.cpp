#include "core/meta_device.hpp"

#include <algorithm>

namespace granule {
namespace {

/// Beyond the user addresses of every 64-bit system, and below the bits that some processors ignore.
constexpr std::uintptr_t kFirstAddress = std::uintptr_t{1} << 52;

class MetaRuntime final : public DeviceRuntime {
 public:
  std::byte* allocate(std::int64_t bytes) override {
    const std::uintptr_t address = next_;
    next_ += static_cast<std::uintptr_t>(align_up(std::max<std::int64_t>(bytes, 1)));
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nothing is there, and nothing is read
    return reinterpret_cast<std::byte*>(address);
  }
  void release(std::byte* /*data*/, std::int64_t /*bytes*/) noexcept override {}
  void copy_to_device(std::byte* /*to*/, std::span<const std::byte> /*from*/) override {}
  void copy_to_host(std::span<std::byte> to, const std::byte* /*from*/) override {
    std::ranges::fill(to, std::byte{0});
  }
  void fill(std::byte* /*data*/, std::int64_t /*bytes*/, std::byte /*value*/) override {}
  void check(Pieces /*pieces*/, std::byte /*value*/) override {}
  std::int64_t failed_checks() override { return 0; }
  void wait() override {}
  std::int64_t step_memory() const override { return kMetaStepMemory; }

  DeviceType kernels() const override { return DeviceType::cpu; }
  bool keeps_bytes() const override { return false; }
  void begin_kernel(std::span<const std::span<std::byte>> /*memory*/) override {}
  void end_kernel() noexcept override {}

 private:
  std::uintptr_t next_ = kFirstAddress;
};

}  // namespace

std::unique_ptr<DeviceRuntime> make_meta_device(int /*index*/) {
  return std::make_unique<MetaRuntime>();
}

}  // namespace granule
