// Memory that the processes of a communicator share. It belongs to no file, so nothing is left of a process
// that is killed.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace cuda_emulation::nccl {

inline constexpr int kMostRanks = 16, kMostSplits = 8192;
inline constexpr std::size_t kPipeBytes = std::size_t{1} << 15;

/// How another process finds the memory.
struct MemoryName {
  std::int32_t process = 0, descriptor = -1;
};

/// Bytes from one rank to another, in order. One process writes and one reads.
struct Pipe {
  std::atomic<std::uint64_t> written, read;
  std::array<std::byte, kPipeBytes> data;

  /// How many bytes the writer may write, and the reader may read.
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] std::size_t come() const;
  /// Moves as many bytes as there is room for, or as have come. Returns how many.
  std::size_t put(std::span<const std::byte> from);
  std::size_t take(std::span<std::byte> to);
};

/// What a rank tells the others when a communicator is split.
struct SplitEntry {
  std::atomic<bool> there, made;
  std::int32_t color, key;
  MemoryName child;  ///< of the rank that comes first in its group, when it is made
};

/// What a rank tells the others of itself.
struct Seat {
  std::atomic<bool> there, finalized;
  std::int32_t device;
  std::array<SplitEntry, kMostSplits> splits;
};

/// It begins as zeros.
struct Board {
  std::array<Seat, kMostRanks> seats;
  std::array<std::array<Pipe, kMostRanks>, kMostRanks> pipes;  ///< [from][to]
};

class SharedBoard {
 public:
  SharedBoard();                               ///< a new one
  explicit SharedBoard(const MemoryName& of);  ///< throws if its process is gone
  ~SharedBoard();
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;
  [[nodiscard]] Board* operator->() const { return board_; }
  /// For other processes, as long as this object lives.
  [[nodiscard]] MemoryName name() const;

 private:
  void map();
  int descriptor_ = -1;
  Board* board_ = nullptr;
};

}  // namespace cuda_emulation::nccl
