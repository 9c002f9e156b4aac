// What a collective is, apart from who runs it: its kind, phase, buffers and bytes, and the ticket that ranks
// compare when they enter it. The interface for callers is communicator.hpp.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.hpp"

namespace granule {

/// What a collective, or a part of a step, is for. It is made only from a string literal, so that another
/// thread may read it at any time and every rank can compare its hash.
class Phase {
 public:
  consteval Phase(const char* literal) : name_(literal) {
    for (const char* c = literal; *c != '\0'; ++c) {
      hash_ = (hash_ ^ static_cast<unsigned char>(*c)) * 0x100000001b3;  // FNV-1a
    }
  }
  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  const char* name_;
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

enum class CollectiveKind : std::uint8_t {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  all_to_all,
  gather,
  barrier,
  /// Not a call: the ticket that a rank sends when it has finished with its group.
  leave
};
[[nodiscard]] std::string_view name_of(CollectiveKind kind);

enum class ReduceOp : std::uint8_t { sum, max, min };

/// One rank's part in a collective, already checked. Counts are elements of `dtype`.
struct Collective {
  CollectiveKind kind;
  Phase phase;
  DType dtype = DType::f32;
  ReduceOp reduce = ReduceOp::sum;
  int root = 0;
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  /// all_reduce, broadcast: all elements; reduce_scatter, all_gather: one part; gather: what this rank gives.
  std::int64_t count = 0;
  /// What every rank must have equal: count, or the width of a row if counts differ by rank.
  std::int64_t agreed = 0;
  /// all_to_all: to and from each rank; gather: output_counts, only at the root.
  std::vector<std::int64_t> input_counts{}, output_counts{};
  /// They keep the buffers alive until the collective has ended. Undefined for values on the host.
  Tensor held_input{}, held_output{};

  [[nodiscard]] std::int64_t bytes(std::int64_t elements) const { return elements * size_of(dtype); }
};

/// Payload bytes that rank `rank` of `size` sends to the other ranks, for any algorithm:
///   all_reduce      ⌊2 (n−1) · bytes / n⌋
///   reduce_scatter  (n−1) · bytes of a part         all_gather   (n−1) · bytes of a part
///   broadcast       (n−1) · bytes at the root       gather       its bytes, 0 at the root
///   all_to_all      bytes of the rows for others    barrier      0
[[nodiscard]] std::int64_t traffic_of(const Collective& collective, int rank, int size);

/// Elements of a part that a sum over messages adds at a time: large enough for bandwidth, and small enough
/// for the cache.
inline constexpr std::int64_t kSumPiece = std::int64_t{1} << 18;
/// Bytes of each other rank that such a sum over `size` ranks keeps while it runs. 0 if it is no sum.
[[nodiscard]] std::int64_t staged_bytes_of_rank(const Collective& collective, int size,
                                                std::int64_t piece = kSumPiece);

/// What ranks compare when they enter a collective. It is plain data and is sent as it is.
struct Ticket {
  std::int64_t sequence = 0;  ///< how many collectives the group has run before
  std::int64_t step = 0;
  std::int64_t agreed = 0;
  std::uint64_t phase_hash = 0;
  CollectiveKind kind = CollectiveKind::leave;
  DType dtype = DType::f32;
  ReduceOp reduce = ReduceOp::sum;
  std::int32_t root = 0;
  std::int32_t world_rank = 0;   ///< whose ticket it is; not compared
  std::array<char, 48> phase{};  ///< for people; not compared
};
[[nodiscard]] bool same_collective(const Ticket& a, const Ticket& b);
/// "all_reduce 'gradients' of 40 f32 (number 17, step 3)"
[[nodiscard]] std::string describe(const Ticket& ticket);
/// An error with exit code 76 that names both ranks, and which collective each of them is in.
[[nodiscard]] Error out_of_step(const Ticket& a, const Ticket& b, std::string_view group);

}  // namespace granule
