#include "core/arena.hpp"

#include <algorithm>
#include <fstream>

#include <unistd.h>

#include "core/error.hpp"

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

constexpr std::byte kFence{0xf5}, kUnwritten{0xff};
/// AddressSanitizer guards memory that was never handed out only this far ahead. The shadow of a whole
/// reservation would be an eighth of the machine's memory.
constexpr std::int64_t kGuardAhead = std::int64_t{1} << 16;

}  // namespace

Arena::Arena(std::int64_t bytes, Poison poison, DeviceRuntime* device)
    : device_(device), capacity_(bytes), poison_(poison) {
  if (device_ == nullptr) reserve();
}

Arena::~Arena() {
  if (memory_ != nullptr) memory_->open(0, std::min(capacity_, high_water_ + kGuardAhead));
}

void Arena::reserve() {
  const std::int64_t bytes = capacity_ == 0 && device_ != nullptr ? device_->step_memory() : capacity_;
  capacity_ = bytes / kAlignment * kAlignment;
  GRANULE_CHECK(capacity_ > 0, "arena: a reservation of {} bytes", bytes);
  memory_ = device_ == nullptr ? reserve_host_memory(capacity_) : take_device_memory(*device_, capacity_);
  base_ = memory_->base();
  raise_high_water(0);
  add_free(0, capacity_);
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
  memory_->close(end, ahead);
}

std::byte* Arena::allocate(std::int64_t bytes) {
  if (memory_ == nullptr) reserve();
  const std::int64_t size = block_size(bytes);
  const auto fit = free_by_size_.lower_bound({size, 0});
  if (fit == free_by_size_.end()) exhausted(size, in_use_, capacity_);
  const auto [free_size, offset] = *fit;
  remove_free(free_by_offset_.find(offset));
  if (free_size > size) add_free(offset + size, free_size - size);
  in_use_ += size;
  raise_high_water(offset + size);
  const Offset begin = offset + fence();
  if (poison_ == Poison::yes) {
    memory_->open(offset, size);
    memory_->fill(offset, size, kFence);
    memory_->fill(begin, bytes, kUnwritten);
    memory_->close(offset, size);
  }
  memory_->open(begin, bytes);
  return base_ + begin;
}

void Arena::release(std::byte* data, std::int64_t bytes) noexcept {
  std::int64_t size = block_size(bytes);
  const Offset begin = data - base_;
  Offset offset = begin - fence();
  if (poison_ == Poison::yes) {
    memory_->open(offset, size);
    memory_->check_around({begin, begin + bytes}, {offset, offset + size}, kFence);
  }
  memory_->close(offset, size);
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
