// Which messages each kind of collective sends and receives.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "distributed/communicators/rank_order.hpp"
#include "distributed/mpi/mpi_operation.hpp"

namespace granule {
namespace {

/// Where a rank's elements begin in a buffer that has those of every rank in order.
std::int64_t begin_of(const std::vector<std::int64_t>& counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, std::int64_t{0});
}

/// Elements of one piece of a longer message. A slow network needs about a second for it.
constexpr std::int64_t kTransferPiece = std::int64_t{1} << 20;

/// All collectives without arithmetic. Every message goes directly from its sender to its receiver, and a
/// long one takes as many rounds as it has pieces.
class MpiTransfer final : public MpiOperation {
 public:
  using MpiOperation::MpiOperation;

 private:
  [[nodiscard]] bool next_round() override {
    bool any = false;
    // Every rank begins with another peer, so that no rank is the first peer of all.
    for (int distance = 0; distance < link().size; ++distance) {
      any |= send_to((link().rank + distance) % link().size);
      any |= receive_from((link().rank + link().size - distance) % link().size);
    }
    begin_ += piece();
    return any;
  }
  /// Sends this round's piece to a peer, or receives one. False if there is none.
  [[nodiscard]] bool send_to(int peer);
  [[nodiscard]] bool receive_from(int peer);
  [[nodiscard]] bool send(int peer, const std::byte* from, std::int64_t elements) {
    return send_piece(peer, from, elements, begin_, piece());
  }
  [[nodiscard]] bool receive(int peer, std::byte* to, std::int64_t elements) {
    return receive_piece(peer, to, elements, begin_, piece());
  }
  [[nodiscard]] std::int64_t piece() const { return std::min(kTransferPiece, link().largest_message); }
  /// A rank's own part is copied at the moment when it would be received.
  void copy_own(const std::byte* from, std::byte* to, std::int64_t elements) const {
    if (begin_ == 0 && elements > 0 && from != to)
      std::memcpy(to, from, static_cast<std::size_t>(collective().bytes(elements)));
  }
  [[nodiscard]] bool take(int peer, const std::byte* own, std::byte* to, std::int64_t elements) {
    if (peer != link().rank) return receive(peer, to, elements);
    copy_own(own, to, elements);
    return false;
  }

  std::int64_t begin_ = 0;  // of this round's pieces, in elements
};

bool MpiTransfer::send_to(int peer) {
  const Collective& call = collective();
  if (peer == link().rank) return false;
  switch (call.kind) {
    case CollectiveKind::all_gather:
      return send(peer, call.input, call.count);
    case CollectiveKind::broadcast:
      return link().rank == call.root && send(peer, call.input, call.count);
    case CollectiveKind::gather:
      return peer == call.root && send(peer, call.input, call.count);
    case CollectiveKind::all_to_all:
      return send(peer, call.input + call.bytes(begin_of(call.input_counts, peer)),
                  call.input_counts[static_cast<std::size_t>(peer)]);
    default:
      return send(peer, nullptr, 0);  // barrier
  }
}

bool MpiTransfer::receive_from(int peer) {
  const Collective& call = collective();
  switch (call.kind) {
    case CollectiveKind::all_gather:
      return take(peer, call.input, call.output + peer * call.bytes(call.count), call.count);
    case CollectiveKind::broadcast:
      return link().rank != call.root && peer == call.root && receive(peer, call.output, call.count);
    case CollectiveKind::gather:
      return link().rank == call.root &&
             take(peer, call.input, call.output + call.bytes(begin_of(call.output_counts, peer)),
                  call.output_counts[static_cast<std::size_t>(peer)]);
    case CollectiveKind::all_to_all:
      return take(peer, call.input + call.bytes(begin_of(call.input_counts, peer)),
                  call.output + call.bytes(begin_of(call.output_counts, peer)),
                  call.output_counts[static_cast<std::size_t>(peer)]);
    default:
      return peer != link().rank && receive(peer, nullptr, 0);  // barrier
  }
}

/// Sums. Each rank owns a part, receives the contributions of all others to it and adds them in rank order.
/// all_reduce then sends the sums back. Chunks follow each other: while the sums of one leave, the
/// contributions of the next one arrive.
class MpiReduction final : public MpiOperation {
 public:
  MpiReduction(const MpiLink& mpi, Collective call, const Ticket& ticket);

 private:
  struct Range {
    std::int64_t begin, count;
  };
  [[nodiscard]] bool next_round() override;
  [[nodiscard]] bool whole() const { return collective().kind == CollectiveKind::all_reduce; }
  [[nodiscard]] std::int64_t chunks() const { return (elements_ + chunk_ - 1) / chunk_; }
  /// The part of a chunk that a rank owns, in elements of the input.
  [[nodiscard]] Range part(std::int64_t chunk, int owner) const;
  [[nodiscard]] std::byte* contribution(int rank) const;
  void collect(std::int64_t chunk);
  void add_up(std::int64_t chunk);
  void hand_out(std::int64_t chunk);

  // What is cut into chunks: all elements of an all_reduce, one part of a reduce_scatter.
  std::int64_t elements_;
  std::int64_t chunk_;
  std::int64_t slot_;  // bytes for one rank's contribution
  std::int64_t next_ = 0;
  Tensor staging_;  // counted in the memory table, if the data have a context
  std::vector<std::byte> small_staging_;
  std::byte* staged_ = nullptr;
};

MpiReduction::MpiReduction(const MpiLink& mpi, Collective call, const Ticket& ticket)
    : MpiOperation(mpi, std::move(call), ticket), elements_(collective().count) {
  const std::int64_t piece = std::min(kSumPiece, link().largest_message);
  chunk_ = whole() ? piece * link().size : piece;
  slot_ = staged_bytes_of_rank(collective(), link().size, piece);
  const std::int64_t bytes = slot_ * (link().size - 1);
  if (collective().held_input.defined()) {
    staging_ = Tensor::empty(collective().held_input.context(), {bytes}, DType::u8,
                             MemoryCategory::communication, Place::host);
    staged_ = staging_.raw();
  } else {
    small_staging_.resize(static_cast<std::size_t>(bytes));
    staged_ = small_staging_.data();
  }
}

MpiReduction::Range MpiReduction::part(std::int64_t chunk, int owner) const {
  const std::int64_t begin = chunk * chunk_;
  const std::int64_t count = std::min(chunk_, elements_ - begin);
  if (!whole()) return {owner * elements_ + begin, count};
  const std::int64_t first = owner * count / link().size;
  return {begin + first, (owner + 1) * count / link().size - first};
}

std::byte* MpiReduction::contribution(int rank) const {
  return staged_ + slot_ * (rank < link().rank ? rank : rank - 1);
}

bool MpiReduction::next_round() {
  // Round k adds chunk k − 1 and sends it out, and collects chunk k. The order of messages is the same on
  // both sides.
  const std::int64_t chunk = next_++;
  if (chunk > chunks() || elements_ == 0) return false;
  if (chunk > 0) {
    add_up(chunk - 1);
    if (whole()) hand_out(chunk - 1);
  }
  if (chunk < chunks()) collect(chunk);
  return true;
}

void MpiReduction::collect(std::int64_t chunk) {
  const Range own = part(chunk, link().rank);
  for (int peer = 0; peer < link().size; ++peer) {
    if (peer == link().rank) continue;
    const Range theirs = part(chunk, peer);
    send(peer, collective().input + collective().bytes(theirs.begin), theirs.count);
    receive(peer, contribution(peer), own.count);
  }
}

void MpiReduction::add_up(std::int64_t chunk) {
  const Collective& call = collective();
  const Range own = part(chunk, link().rank);
  std::vector<const std::byte*> sources;
  for (int rank = 0; rank < link().size; ++rank) {
    sources.push_back(rank == link().rank ? call.input + call.bytes(own.begin) : contribution(rank));
  }
  std::byte* const sum = call.output + call.bytes(whole() ? own.begin : chunk * chunk_);
  reduce_in_rank_order(call.dtype, call.reduce, own.count, sources, {&sum, 1});
}

void MpiReduction::hand_out(std::int64_t chunk) {
  const Collective& call = collective();
  const Range own = part(chunk, link().rank);
  for (int peer = 0; peer < link().size; ++peer) {
    if (peer == link().rank) continue;
    const Range theirs = part(chunk, peer);
    send(peer, call.output + call.bytes(own.begin), own.count);
    receive(peer, call.output + call.bytes(theirs.begin), theirs.count);
  }
}

}  // namespace

std::unique_ptr<MpiOperation> start_mpi_operation(const MpiLink& link, Collective collective,
                                                  const Ticket& ticket) {
  const CollectiveKind kind = collective.kind;
  if (kind == CollectiveKind::all_reduce || kind == CollectiveKind::reduce_scatter) {
    return std::make_unique<MpiReduction>(link, std::move(collective), ticket);
  }
  return std::make_unique<MpiTransfer>(link, std::move(collective), ticket);
}

}  // namespace granule
