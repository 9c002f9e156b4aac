// Ranks that something happens to on their way into a collective: they are delayed, they leave it out, they
// run it twice, or they end. Around any communicator, and for tests alone.
#pragma once
#include <exception>
#include <functional>
#include <memory>

#include "distributed/communicators/communicator.hpp"

namespace granule::test {

/// How often the rank runs a collective that it was to run once.
enum class Runs { never, once, twice };

/// Called for every collective of this rank before it is entered, in the group of that name. What it throws,
/// and how it ends the process, is up to it.
using Disturbance = std::function<Runs(const Collective& collective, const Communicator& group)>;

/// Hands everything on to other ranks, groups split from it too. Shares their ledger, which therefore counts
/// every collective twice.
class DisturbedRanks final : public Communicator {
 public:
  DisturbedRanks(Communicator& ranks, Disturbance disturbance);
  DisturbedRanks(std::unique_ptr<Communicator> ranks, Disturbance disturbance);

  [[noreturn]] void abort(ExitCode code, std::string_view message) override {
    ranks_.abort(code, message);
    std::terminate();  // for the compiler: it has not returned
  }

 private:
  [[nodiscard]] std::unique_ptr<Operation> start(Collective collective, const Ticket& ticket) override;
  [[nodiscard]] std::unique_ptr<Communicator> form(const Group& group) override;

  std::unique_ptr<Communicator> owned_;
  Communicator& ranks_;
  Disturbance disturbance_;
};

/// Pauses of a random length, the same for a seed and a rank.
[[nodiscard]] Disturbance random_pauses(std::uint64_t seed, int rank);

}  // namespace granule::test
