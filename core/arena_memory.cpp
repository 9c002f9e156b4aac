#include "core/arena_memory.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <sys/mman.h>

#include "core/error.hpp"
#include "core/huge_pages.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#define ASAN_UNPOISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#endif

namespace granule {
namespace {

bool all_are(const std::byte* begin, const std::byte* end, std::byte value) {
  return std::all_of(begin, end, [value](std::byte b) { return b == value; });
}

class HostArenaMemory final : public ArenaMemory {
 public:
  explicit HostArenaMemory(std::int64_t bytes) : bytes_(bytes) {
    void* base = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
      throw Error(ExitCode::out_of_memory,
                  fmt::format("out of memory: {:.2f} GiB of address space cannot be reserved",
                              static_cast<double>(bytes) / (1 << 30)),
                  "step memory", "raise the limits for memory of this process (ulimit -v, ulimit -d)");
    }
    base_ = static_cast<std::byte*>(base);
    prefer_huge_pages(base_, bytes);
  }
  ~HostArenaMemory() override { munmap(base_, static_cast<std::size_t>(bytes_)); }

  std::byte* base() const override { return base_; }
  void fill(std::int64_t offset, std::int64_t bytes, std::byte value) override {
    std::memset(base_ + offset, std::to_integer<int>(value), static_cast<std::size_t>(bytes));
  }
  void check_around(Range inner, Range outer, std::byte value) override {
    const bool same = all_are(base_ + outer.begin, base_ + inner.begin, value) &&
                      all_are(base_ + inner.end, base_ + outer.end, value);
    failed_checks_ += same ? 0 : 1;
  }
  std::int64_t failed_checks() const override { return failed_checks_; }
  void open(std::int64_t offset, std::int64_t bytes) override {
    ASAN_UNPOISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(bytes));
  }
  void close(std::int64_t offset, std::int64_t bytes) override {
    ASAN_POISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(bytes));
  }

 private:
  std::int64_t bytes_;
  std::byte* base_ = nullptr;
  std::int64_t failed_checks_ = 0;
};

class DeviceArenaMemory final : public ArenaMemory {
 public:
  DeviceArenaMemory(DeviceRuntime& runtime, std::int64_t bytes)
      : runtime_(runtime), bytes_(bytes), base_(runtime.allocate(bytes)) {}
  ~DeviceArenaMemory() override { runtime_.release(base_, bytes_); }

  std::byte* base() const override { return base_; }
  void fill(std::int64_t offset, std::int64_t bytes, std::byte value) override {
    runtime_.fill(base_ + offset, bytes, value);
  }
  void check_around(Range inner, Range outer, std::byte value) override {
    runtime_.check({std::span(base_ + outer.begin, base_ + inner.begin),
                    std::span(base_ + inner.end, base_ + outer.end)},
                   value);
  }
  std::int64_t failed_checks() const override { return runtime_.failed_checks(); }

 private:
  DeviceRuntime& runtime_;
  std::int64_t bytes_;
  std::byte* base_;
};

}  // namespace

std::unique_ptr<ArenaMemory> reserve_host_memory(std::int64_t bytes) {
  return std::make_unique<HostArenaMemory>(bytes);
}

std::unique_ptr<ArenaMemory> take_device_memory(DeviceRuntime& runtime, std::int64_t bytes) {
  return std::make_unique<DeviceArenaMemory>(runtime, bytes);
}

}  // namespace granule
