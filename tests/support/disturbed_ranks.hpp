// Ranks that are disturbed when they enter a collective: they are delayed, skip it, run it twice, or end.
// They wrap any communicator, and only tests use them.
#pragma once
#include <exception>
#include <functional>
#include <memory>

#include "distributed/communicators/communicator.hpp"

namespace granule::test {

/// How often the rank runs a collective that it should run once.
enum class Runs { never, once, twice };

/// Called for every collective of this rank before it enters it, with the group of the collective. It may
/// throw anything, and may end the process in any way.
using Disturbance = std::function<Runs(const Collective& collective, const Communicator& group)>;

/// Passes everything on to other ranks, and does the same for groups that are split from it. It shares their
/// ledger, so the ledger counts every collective twice.
class DisturbedRanks final : public Communicator {
 public:
  DisturbedRanks(Communicator& ranks, Disturbance disturbance);
  DisturbedRanks(std::unique_ptr<Communicator> ranks, Disturbance disturbance);

  void carry_tensors_by(std::unique_ptr<DeviceCarrier> carrier) override;
  [[nodiscard]] Carriages* carriages() override { return ranks_.carriages(); }
  [[noreturn]] void abort(ExitCode code, std::string_view message) override {
    ranks_.abort(code, message);
    std::terminate();  // for the compiler; this is never reached
  }

 private:
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override;
  /// Tensors on a device are passed on too.
  [[nodiscard]] std::unique_ptr<Operation> carry(Collective collective, const Ticket& ticket) override {
    return start(std::move(collective), ticket);
  }
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;

  std::unique_ptr<Communicator> owned_;
  Communicator& ranks_;
  Disturbance disturbance_;
};

/// Pauses of random length, which depend only on the seed and the rank.
[[nodiscard]] Disturbance random_pauses(std::uint64_t seed, int rank);

}  // namespace granule::test
