// Memory of the emulated device. Host code cannot touch it. It begins as NaN, and every allocation has a red
// zone after it.
#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

#include "tests/cuda_emulation/emulation.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#define ASAN_UNPOISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#endif

namespace cuda_emulation {
namespace {

constexpr std::size_t kAddresses = std::size_t{1} << 36, kAlignment = 256, kRedZone = 256, kPage = 4096;
/// Larger allocations are pages of a file that is full of NaN, so only those that are written to cost memory.
constexpr std::size_t kLarge = std::size_t{1} << 20, kFile = std::size_t{16} << 20;
constexpr int kUnwritten = 0xff, kRed = 0xa5;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

struct Range {
  std::size_t bytes, room;
};

class Memory {
 public:
  Memory() {
    void* const addresses =
        mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addresses == MAP_FAILED)
      throw std::runtime_error("no addresses for the memory of the emulated device");
    base_ = static_cast<std::byte*>(addresses);
    file_ = memfd_create("NaN", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, kFile) != 0)
      throw std::runtime_error("no memory for the emulated device");
    void* const content = mmap(nullptr, kFile, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    std::memset(content, kUnwritten, kFile);
    munmap(content, kFile);
  }

  std::byte* allocate(std::size_t bytes) {
    const bool large = bytes >= kLarge;
    const std::size_t room = round_up(bytes, kAlignment) + kRedZone, unit = large ? kPage : kAlignment;
    std::byte* const data = take(round_up(room, unit), unit);
    if (data == nullptr) return nullptr;
    const DeviceAccess access;
    if (large) {
      map_file(data, round_up(room, unit));
    } else {
      ASAN_UNPOISON_MEMORY_REGION(data, room);
      std::memset(data, kUnwritten, bytes);
    }
    std::memset(data + bytes, kRed, room - bytes);
    ASAN_POISON_MEMORY_REGION(data + bytes, room - bytes);
    ranges_[data] = {bytes, round_up(room, unit)};
    return data;
  }

  void release(std::byte* data) {
    const auto found = ranges_.find(data);
    if (found == ranges_.end()) throw std::runtime_error("cudaFree: no allocation begins there");
    const DeviceAccess access;
    check(found->first, found->second);
    if (found->second.bytes >= kLarge) {
      map_file(data, found->second.room);
    } else {
      std::memset(data, kUnwritten, found->second.bytes);
    }
    ASAN_POISON_MEMORY_REGION(data, found->second.bytes);
    free_.emplace(found->second.room, data);
    ranges_.erase(found);
  }

  void check_all() const {
    const DeviceAccess access;
    for (const auto& [data, range] : ranges_) check(data, range);
  }

  [[nodiscard]] const Range* find(const std::byte* data, std::size_t bytes) const {
    auto after = ranges_.upper_bound(const_cast<std::byte*>(data));
    if (after == ranges_.begin()) return nullptr;
    const auto& [begin, range] = *--after;
    return data + bytes <= begin + range.bytes ? &range : nullptr;
  }

  void open(bool accessible) {
    accessible_ = accessible;
    if (end_ > 0) mprotect(base_, round_up(end_, kPage), protection());
  }

 private:
  [[nodiscard]] int protection() const { return accessible_ ? PROT_READ | PROT_WRITE : PROT_NONE; }

  std::byte* take(std::size_t room, std::size_t unit) {
    const auto reused = free_.find(room);
    if (reused != free_.end()) {
      std::byte* const data = reused->second;
      free_.erase(reused);
      return data;
    }
    const std::size_t begin = round_up(end_, unit);
    if (begin + room > kAddresses) return nullptr;
    end_ = begin + room;
    mprotect(base_, round_up(end_, kPage), protection());
    return base_ + begin;
  }

  void map_file(std::byte* data, std::size_t bytes) const {
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    for (std::size_t at = 0; at < bytes; at += kFile) {
      const void* const mapped = mmap(data + at, std::min(kFile, bytes - at), protection(),
                                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file_, 0);
      if (mapped == MAP_FAILED) throw std::runtime_error("no memory for the emulated device");
    }
  }

  static void check(std::byte* data, const Range& range) {
#if !defined(__SANITIZE_ADDRESS__)  // which reports the write itself
    const std::size_t end = round_up(range.bytes, kAlignment) + kRedZone;
    const auto* const bad =
        std::find_if_not(data + range.bytes, data + end, [](std::byte b) { return b == std::byte{kRed}; });
    if (bad == data + end) return;
    throw std::runtime_error("device memory was written " +
                             std::to_string(bad - data - std::ptrdiff_t(range.bytes)) +
                             " bytes past the end of an allocation of " + std::to_string(range.bytes));
#else
    static_cast<void>(data), static_cast<void>(range);
#endif
  }

  std::byte* base_ = nullptr;
  int file_ = -1;
  std::size_t end_ = 0;
  bool accessible_ = false;
  std::map<std::byte*, Range> ranges_;
  std::multimap<std::size_t, std::byte*> free_;
};

Memory& memory() {
  static auto& one = *new Memory;  // streams that are drained at exit may still need it
  return one;
}

std::map<const std::byte*, std::size_t>& pinned() {
  static auto& all = *new std::map<const std::byte*, std::size_t>;
  return all;
}

int accesses = 0;

}  // namespace

DeviceAccess::DeviceAccess() {
  if (accesses++ == 0) memory().open(true);
}
DeviceAccess::~DeviceAccess() {
  if (--accesses == 0) memory().open(false);
}

std::byte* allocate_device(std::size_t bytes) {
  if (live().bytes + bytes > settings().memory) return nullptr;
  std::byte* const data = memory().allocate(bytes);
  if (data == nullptr) return nullptr;
  ++live().allocations;
  live().bytes += bytes;
  return data;
}

void release_device(void* data) {
  auto* const bytes = static_cast<std::byte*>(data);
  const Range* const range = memory().find(bytes, 0);
  const std::size_t size = range == nullptr ? 0 : range->bytes;
  memory().release(bytes);
  --live().allocations;
  live().bytes -= size;
}

void check_red_zones() {
  memory().check_all();
}

bool is_on_device(const void* data, std::size_t bytes) {
  return memory().find(static_cast<const std::byte*>(data), bytes) != nullptr;
}

void register_pinned(void* data, std::size_t bytes) {
  pinned()[static_cast<std::byte*>(data)] = bytes;
  ++live().pinned;
}

void forget_pinned(void* data) {
  if (pinned().erase(static_cast<std::byte*>(data)) == 0) fail("cudaFreeHost: no pinned memory begins there");
  --live().pinned;
}

bool is_pinned(const void* data, std::size_t bytes) {
  const auto* const begin = static_cast<const std::byte*>(data);
  auto after = pinned().upper_bound(begin);
  if (after == pinned().begin()) return false;
  --after;
  return begin + bytes <= after->first + after->second;
}

}  // namespace cuda_emulation
