// Step memory. It is one range of addresses; blocks are handed out best-fit and merged again on release. On
// the host the range is a reservation, whose pages are touched once and stay, so from the second step on a
// step allocates nothing from the system. The high-water mark is what the step needed. Only the rank's own
// thread uses it.
#pragma once
#include <map>
#include <set>
#include <utility>

#include "core/allocator.hpp"
#include "core/arena_memory.hpp"

namespace granule {

enum class Poison : bool { no, yes };

class Arena final : public Allocator {
 public:
  /// Reserves `bytes` of address space, which is no memory yet. From a device it takes them at the first
  /// allocation, and asks it how many if `bytes` is 0. Poison::yes
  /// fills each block with 0xff on allocation, which is NaN for floats, so a kernel that reads what nobody
  /// wrote is found. It also puts fences around each block, so a kernel that writes past its ends is counted
  /// in damaged_blocks().
  explicit Arena(std::int64_t bytes, Poison poison = Poison::no, DeviceRuntime* device = nullptr);
  ~Arena() override;

  [[nodiscard]] std::byte* allocate(std::int64_t bytes) override;
  void release(std::byte* data, std::int64_t bytes) noexcept override;

  [[nodiscard]] std::int64_t in_use() const { return in_use_; }
  /// Bytes from the start of the reservation that were ever handed out.
  [[nodiscard]] std::int64_t high_water() const { return high_water_; }
  /// How many of the blocks released so far had been written to beyond their ends (Poison::yes).
  [[nodiscard]] std::int64_t damaged_blocks() const {
    return memory_ == nullptr ? 0 : memory_->failed_checks();
  }

 private:
  using Offset = std::int64_t;
  [[nodiscard]] std::int64_t block_size(std::int64_t bytes) const;
  [[nodiscard]] std::int64_t fence() const { return poison_ == Poison::yes ? kAlignment : 0; }
  void raise_high_water(std::int64_t end);
  void add_free(Offset offset, std::int64_t size);
  void remove_free(std::map<Offset, std::int64_t>::iterator block);

  void reserve();

  DeviceRuntime* device_;
  std::int64_t capacity_;
  Poison poison_;
  std::unique_ptr<ArenaMemory> memory_;
  std::byte* base_ = nullptr;
  std::int64_t in_use_ = 0;
  std::int64_t high_water_ = 0;
  std::map<Offset, std::int64_t> free_by_offset_;
  // Of equal sizes the one with the lowest address comes first, so use stays compact.
  std::set<std::pair<std::int64_t, Offset>> free_by_size_;
};

/// Physical memory of this machine, or the container's limit if that is lower.
[[nodiscard]] std::int64_t physical_memory();

}  // namespace granule
