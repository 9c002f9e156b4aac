// Where the copies of tokens are after they were sorted by expert.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"
#include "core/transfer.hpp"

namespace granule {

/// The copies of N tokens, up to K of each, sorted by expert and within an expert by token. There are R rows,
/// which is N·K if no copy is dropped.
struct RowOrder {
  std::int64_t tokens, k;
  Tensor token_R;                    ///< int32: the token that a row is a copy of
  Tensor row_NK;                     ///< int32: the rows of a token's copies; −1: dropped
  HostCopy<std::int64_t> offset_E1;  ///< expert e owns rows [offset[e], offset[e + 1])
  [[nodiscard]] std::int64_t rows() const { return token_R.numel(); }
  [[nodiscard]] std::int64_t experts() const { return offset_E1.size() - 1; }
};

/// Whether every copy is sent to an expert. If so, the number of rows is known without asking the device.
enum class Sent : std::uint8_t { all, some };
/// Sorts by the experts that tokens are sent to; −1 is nowhere. Throws for other ids, and for −1 if all are
/// sent.
[[nodiscard]] RowOrder sort_by_expert(const Tensor& id_NK, std::int64_t experts, Sent sent);
/// The same if the host knows how many copies each of the E experts gets. Then it asks the device nothing.
[[nodiscard]] RowOrder sort_by_expert(const Tensor& id_NK, const std::vector<std::int64_t>& count_E);

/// Counts the copies of each expert, and sums the counts up: offset_E1 is int64.
struct ExpertOffsetsArgs {
  Tensor id_NK, offset_E1;
};
extern KernelSlot<ExpertOffsetsArgs> expert_offsets_kernel;

struct PlaceCopiesArgs {
  Tensor id_NK, offset_E1, token_R, row_NK;
};
extern KernelSlot<PlaceCopiesArgs> place_copies_kernel;

}  // namespace granule
