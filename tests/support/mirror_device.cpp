#include "tests/support/mirror_device.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "core/address_space.hpp"
#include "core/error.hpp"

namespace granule::test {
namespace {

using Bytes = std::span<std::byte>;

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

/// The whole pages around these bytes.
Bytes pages_of(Bytes bytes) {
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data()) / page_size() * page_size();
  const auto last = reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size();
  const std::size_t pages = (last - first + page_size() - 1) / page_size();
  return {reinterpret_cast<std::byte*>(first), pages * page_size()};
}

void protect(Bytes bytes, int protection) {
  if (bytes.empty()) return;
  const Bytes pages = pages_of(bytes);
  GRANULE_ASSERT(mprotect(pages.data(), pages.size(), protection) == 0, "mirror: mprotect: {}",
                 std::strerror(errno));
}

class MirrorRuntime final : public DeviceRuntime {
 public:
  std::byte* allocate(std::int64_t bytes) override {
    const std::size_t size = mapped(bytes);
    void* const data = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    GRANULE_ASSERT(data != MAP_FAILED, "mirror: mmap of {} bytes: {}", size, std::strerror(errno));
    return static_cast<std::byte*>(data);
  }
  void release(std::byte* data, std::int64_t bytes) noexcept override { munmap(data, mapped(bytes)); }

  void copy_to_device(std::byte* to, std::span<const std::byte> from) override {
    const Bytes target(to, from.size());
    protect(target, PROT_READ | PROT_WRITE);
    std::ranges::copy(from, to);
    protect(target, PROT_NONE);
  }
  /// The bytes of now arrive at the next wait. Whoever reads them before finds others.
  void copy_to_host(Bytes to, const std::byte* from) override {
    const Bytes source(const_cast<std::byte*>(from), to.size());
    protect(source, PROT_READ);
    arriving_.push_back({to, {source.begin(), source.end()}});
    protect(source, PROT_NONE);
    std::ranges::fill(to, std::byte{0xa5});
  }
  void fill(std::byte* data, std::int64_t bytes, std::byte value) override {
    const Bytes target(data, static_cast<std::size_t>(bytes));
    protect(target, PROT_READ | PROT_WRITE);
    std::ranges::fill(target, value);
    protect(target, PROT_NONE);
  }
  void check(Pieces pieces, std::byte value) override {
    bool same = true;
    for (const auto piece : pieces) {
      const Bytes checked(const_cast<std::byte*>(piece.data()), piece.size());
      protect(checked, PROT_READ);
      same = same && std::ranges::all_of(piece, [value](std::byte b) { return b == value; });
      protect(checked, PROT_NONE);
    }
    failed_checks_ += same ? 0 : 1;
  }
  std::int64_t failed_checks() override { return failed_checks_; }
  std::int64_t step_memory() const override { return default_step_memory(); }
  void wait() override {
    for (const Copy& copy : arriving_) std::ranges::copy(copy.bytes, copy.to.begin());
    arriving_.clear();
  }

  DeviceType kernels() const override { return DeviceType::cpu; }
  void begin_kernel(std::span<const Bytes> memory) override {
    open_.assign(memory.begin(), memory.end());
    for (const Bytes bytes : open_) protect(bytes, PROT_READ | PROT_WRITE);
  }
  void end_kernel() noexcept override {
    for (const Bytes bytes : open_) protect(bytes, PROT_NONE);
    open_.clear();
  }

 private:
  struct Copy {
    Bytes to;
    std::vector<std::byte> bytes;
  };
  static std::size_t mapped(std::int64_t bytes) {
    const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
    return (wanted + page_size() - 1) / page_size() * page_size();
  }

  std::vector<Copy> arriving_;
  std::vector<Bytes> open_;
  std::int64_t failed_checks_ = 0;
};

}  // namespace

std::unique_ptr<DeviceRuntime> make_mirror_device(int index) {
  GRANULE_CHECK(index >= 0, "mirror: device {}", index);
  return std::make_unique<MirrorRuntime>();
}

}  // namespace granule::test
