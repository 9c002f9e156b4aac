// The first rank of a job whose other ranks do not exist. It counts in the ledger what the rank would send,
// and moves nothing. With it and the meta device (core/meta_device.hpp), a step can be rehearsed.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// How sums of tensors would travel: ranks read each other's memory, or send pieces of it. Pieces are kept
/// until they are added (staged_bytes_of_rank).
enum class Carrier : std::uint8_t { memory, messages };

/// Tensors must be without bytes. Of values on the host, every absent rank is taken to have the same as this
/// one: a sum is size() times as much, and a gather repeats them. What a sum keeps of other ranks counts as
/// communication memory until it is waited for, and it ends no earlier.
class RehearsalCommunicator final : public Communicator {
 public:
  RehearsalCommunicator(int ranks, Carrier carrier);
  /// Throws.
  [[noreturn]] void abort(ExitCode code, std::string_view message) override;

 private:
  RehearsalCommunicator(GroupPosition place, std::shared_ptr<Ledger> ledger, Carrier carrier)
      : Communicator(std::move(place), std::move(ledger)), carrier_(carrier) {}
  [[nodiscard]] std::unique_ptr<Operation> carry(Collective collective, const Ticket& ticket) override;
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override;
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;

  Carrier carrier_;
};

}  // namespace granule
