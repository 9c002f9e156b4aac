// A training job of several ranks with one planted fault. The program is
// tests/integration/faulty_program.cpp.
#pragma once
#include <array>
#include <map>
#include <memory>

#include "tests/support/mpirun.hpp"
#include "tests/support/workshop.hpp"

namespace granule::test {

struct FaultyJob {
  int ranks = 2;
  std::string fault{};              ///< in the form that the program wants; empty if none
  std::vector<std::string> more{};  ///< more arguments of granule train
  std::map<std::string, std::string> environment{};
};

/// Starts the job, which runs at the same time as the test.
[[nodiscard]] std::unique_ptr<RunningRanks> start_faulty(const Workshop& shop, const char* out,
                                                         const FaultyJob& job);

/// Runs the same program on a system that tests/integration/odd_system.cpp makes odd, alone or as several
/// ranks.
[[nodiscard]] ProgramResult run_on_odd_system(const std::string& system,
                                              const std::vector<std::string>& arguments,
                                              const std::string& fault = {}, int ranks = 1);

struct Ending {
  ProgramResult result;
  double seconds = 0.0;  ///< from the fault to the end of the job
};
[[nodiscard]] Ending end_of_faulty(const Workshop& shop, const char* out, const FaultyJob& job);

/// How a job with a fault must end.
struct Expected {
  int code;
  std::string message;  ///< part of what the job prints
  /// Open MPI 5 breaks its messages into lines, so any white space counts as a space.
  [[nodiscard]] bool is_said_in(const std::string& printed) const;
};
/// For faults on rank `rank` that end it, stop it, or bring it out of step.
[[nodiscard]] Expected expected_end(const std::string& fault, int rank);

/// The faults that plant a value that is not finite. It is in the loss, the router's logits, or an expert's
/// gradient.
inline constexpr std::array kNotFinite{"nan-loss", "nan-logits", "nan-gradient"};
/// Runs 6 steps, and such a fault on the last rank spoils the 4th. Checks that all ranks skip that step and
/// that nothing else happens. Returns the tensors at the end.
[[nodiscard]] std::string tensors_after_skip(const Workshop& shop, const std::string& fault, int ranks,
                                             int zero);

}  // namespace granule::test
