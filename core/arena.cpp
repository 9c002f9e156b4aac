#include "core/arena.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

#include <sys/mman.h>
#include <unistd.h>

#include "core/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#define ASAN_UNPOISON_MEMORY_REGION(data, size) static_cast<void>(data), static_cast<void>(size)
#endif

namespace granule {
namespace {

double gib(std::int64_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

[[noreturn]] void exhausted(std::int64_t wanted, std::int64_t in_use, std::int64_t capacity) {
  throw Error(
      ExitCode::out_of_memory,
      fmt::format("out of memory: {:.2f} GiB more were needed beside {:.2f} GiB in use, {:.2f} GiB are there",
                  gib(wanted), gib(in_use), gib(capacity)),
      "step memory", "use a smaller train.micro_batch_size, data.seq_len or model, or train.recompute");
}

constexpr std::byte kFence{0xf5};
/// AddressSanitizer guards memory that was never handed out only this far ahead. The shadow of a whole
/// reservation would be an eighth of the machine's memory.
constexpr std::int64_t kGuardAhead = std::int64_t{1} << 16;

}  // namespace

Arena::Arena(std::int64_t bytes, Poison poison)
    : capacity_(bytes / kAlignment * kAlignment), poison_(poison) {
  GRANULE_CHECK(capacity_ > 0, "arena: a reservation of {} bytes", bytes);
  void* base = mmap(nullptr, static_cast<std::size_t>(capacity_), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    throw Error(ExitCode::out_of_memory,
                fmt::format("out of memory: {:.2f} GiB of address space cannot be reserved", gib(capacity_)),
                "step memory", "raise the limits for memory of this process (ulimit -v, ulimit -d)");
  }
  base_ = static_cast<std::byte*>(base);
  raise_high_water(0);
  add_free(0, capacity_);
}

Arena::~Arena() {
  const std::int64_t guarded = std::min(capacity_, high_water_ + kGuardAhead);
  ASAN_UNPOISON_MEMORY_REGION(base_, static_cast<std::size_t>(guarded));
  munmap(base_, static_cast<std::size_t>(capacity_));
}

void Arena::add_free(Offset offset, std::int64_t size) {
  free_by_offset_.emplace(offset, size);
  free_by_size_.emplace(size, offset);
}

void Arena::remove_free(std::map<Offset, std::int64_t>::iterator block) {
  free_by_size_.erase({block->second, block->first});
  free_by_offset_.erase(block);
}

std::int64_t Arena::block_size(std::int64_t bytes) const {
  return align_up(std::max<std::int64_t>(bytes, 1)) + 2 * fence();
}

void Arena::raise_high_water(std::int64_t end) {
  if (end > 0 && end <= high_water_) return;
  high_water_ = end;
  const std::int64_t ahead = std::min(kGuardAhead, capacity_ - end);
  ASAN_POISON_MEMORY_REGION(base_ + end, static_cast<std::size_t>(ahead));
}

std::byte* Arena::allocate(std::int64_t bytes) {
  const std::int64_t size = block_size(bytes);
  const auto fit = free_by_size_.lower_bound({size, 0});
  if (fit == free_by_size_.end()) exhausted(size, in_use_, capacity_);
  const auto [free_size, offset] = *fit;
  remove_free(free_by_offset_.find(offset));
  if (free_size > size) add_free(offset + size, free_size - size);
  in_use_ += size;
  raise_high_water(offset + size);
  std::byte* const data = base_ + offset + fence();
  if (poison_ == Poison::yes) {
    ASAN_UNPOISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(size));
    std::fill_n(base_ + offset, size, kFence);
    std::memset(data, 0xff, static_cast<std::size_t>(bytes));
    ASAN_POISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(size));
  }
  ASAN_UNPOISON_MEMORY_REGION(data, static_cast<std::size_t>(bytes));
  return data;
}

void Arena::release(std::byte* data, std::int64_t bytes) noexcept {
  std::int64_t size = block_size(bytes);
  Offset offset = data - base_ - fence();
  if (poison_ == Poison::yes) {
    ASAN_UNPOISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(size));
    const auto intact = [](const std::byte* from, const std::byte* to) {
      return std::all_of(from, to, [](std::byte b) { return b == kFence; });
    };
    if (!intact(base_ + offset, data) || !intact(data + bytes, base_ + offset + size)) ++damaged_;
  }
  ASAN_POISON_MEMORY_REGION(base_ + offset, static_cast<std::size_t>(size));
  in_use_ -= size;
  auto next = free_by_offset_.lower_bound(offset);
  if (next != free_by_offset_.end() && next->first == offset + size) {
    size += next->second;
    remove_free(next++);
  }
  if (next != free_by_offset_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      remove_free(before);
    }
  }
  add_free(offset, size);
}

std::int64_t physical_memory() {
  std::int64_t bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  if (std::int64_t container = 0; limit >> container && container > 0) bytes = std::min(bytes, container);
  return bytes;
}

}  // namespace granule
