// Transfers of any length through a piece of host memory, whose size has a bound. Weights and optimizer state
// cross the border in this way.
#pragma once
#include <algorithm>
#include <vector>

#include "core/transfer.hpp"

namespace granule {

/// Bytes of the longest piece.
inline constexpr std::int64_t kTransferPiece = std::int64_t{16} << 20;

/// Writes a tensor piece by piece. fill(begin, piece) sets elements [begin, begin + size(piece)) of the
/// flattened tensor, and `piece` is a span of `T`, its dtype.
template <class T, class Fill>
void write_in_pieces(const Tensor& to, const Fill& fill) {
  const std::int64_t most = std::min(to.numel(), kTransferPiece / static_cast<std::int64_t>(sizeof(T)));
  std::vector<T> elements(static_cast<std::size_t>(most));
  for (std::int64_t begin = 0; begin < to.numel(); begin += most) {
    const std::int64_t size = std::min(most, to.numel() - begin);
    const std::span<T> piece(elements.data(), static_cast<std::size_t>(size));
    fill(begin, piece);
    write<T>(piece, to.slice(begin, {size}));
  }
}

/// Calls body(bytes) for consecutive pieces of a tensor of any dtype.
template <class Body>
void read_in_pieces(const Tensor& from, const Body& body) {
  const std::int64_t most = kTransferPiece / size_of(from.dtype());
  for (std::int64_t begin = 0; begin < from.numel(); begin += most) {
    const HostBytes piece(from.slice(begin, {std::min(most, from.numel() - begin)}));
    body(piece.get());
  }
}

}  // namespace granule
