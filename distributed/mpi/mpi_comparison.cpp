// The comparison of a collective whose data a device's carrier moves. A rank sends everything that others
// need for it when it enters the collective. So ranks can compare even while one of them waits for a device.
#include "distributed/mpi/mpi_operation.hpp"

namespace granule {
namespace {

class MpiComparison final : public MpiOperation {
 public:
  MpiComparison(const MpiLink& mpi, Collective call, const Ticket& ticket);

 private:
  /// How much goes from one rank to another, and in which collective of the group. If a rank has skipped
  /// one, its counts belong to the next one, and the tickets will tell.
  struct Count {
    std::int64_t sequence, elements;
  };
  [[nodiscard]] bool next_round() override;
  /// What this rank sends to a peer, or nullptr if the peer waits for nothing.
  [[nodiscard]] const std::int64_t* sent_to(int peer) const;
  [[nodiscard]] const std::int64_t* expected_from(int peer) const;

  std::int64_t sequence_;
  std::vector<Count> mine_, theirs_;  // by peer
};

/// The tensors may be freed before the ranks have compared.
Collective without_tensors(Collective collective) {
  collective.held_input = collective.held_output = {};
  return collective;
}

MpiComparison::MpiComparison(const MpiLink& mpi, Collective call, const Ticket& ticket)
    : MpiOperation(mpi, without_tensors(std::move(call)), ticket), sequence_(ticket.sequence) {
  mine_.resize(static_cast<std::size_t>(mpi.size));
  theirs_.resize(mine_.size());
  for (int peer = 0; peer < mpi.size; ++peer) {
    const auto at = static_cast<std::size_t>(peer);
    if (const std::int64_t* const elements = sent_to(peer)) {
      mine_[at] = {sequence_, *elements};
      send_with_ticket(peer, &mine_[at], sizeof(Count));
    }
    if (expected_from(peer) != nullptr) receive_with_ticket(peer, &theirs_[at], sizeof(Count));
  }
}

const std::int64_t* MpiComparison::sent_to(int peer) const {
  const Collective& call = collective();
  if (peer == link().rank) return nullptr;
  if (call.kind == CollectiveKind::gather) return peer == call.root ? &call.count : nullptr;
  return call.kind == CollectiveKind::all_to_all ? &call.input_counts[static_cast<std::size_t>(peer)]
                                                 : nullptr;
}

const std::int64_t* MpiComparison::expected_from(int peer) const {
  const Collective& call = collective();
  const bool receives = call.kind == CollectiveKind::all_to_all ||
                        (call.kind == CollectiveKind::gather && call.root == link().rank);
  return receives && peer != link().rank ? &call.output_counts[static_cast<std::size_t>(peer)] : nullptr;
}

bool MpiComparison::next_round() {
  for (int peer = 0; peer < link().size; ++peer) {
    const std::int64_t* const expected = expected_from(peer);
    const Count& came = theirs_[static_cast<std::size_t>(peer)];
    if (expected != nullptr && came.sequence == sequence_ && came.elements != *expected)
      abort_for_count(peer, *expected, came.elements);
  }
  return false;
}

}  // namespace

std::unique_ptr<MpiOperation> start_mpi_comparison(const MpiLink& link, Collective collective,
                                                   const Ticket& ticket) {
  return std::make_unique<MpiComparison>(link, std::move(collective), ticket);
}

}  // namespace granule
