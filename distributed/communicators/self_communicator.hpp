// A job of one rank: every collective is a copy and has ended when it returns.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

class SelfCommunicator final : public Communicator {
 public:
  SelfCommunicator() : Communicator({.group = "world"}, std::make_shared<Ledger>()) {}
  /// Throws.
  [[noreturn]] void abort(ExitCode code, std::string_view message) override;

 private:
  SelfCommunicator(GroupPosition place, std::shared_ptr<Ledger> ledger)
      : Communicator(std::move(place), std::move(ledger)) {}
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override;
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;
};

}  // namespace granule
