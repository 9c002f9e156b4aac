// A training job of several ranks with one planted fault: the program of
// tests/integration/faulty_program.cpp.
#pragma once
#include <array>
#include <memory>

#include "tests/support/mpirun.hpp"
#include "tests/support/workshop.hpp"

namespace granule::test {

struct FaultyJob {
  int ranks = 2;
  std::string fault{};              ///< as the program wants it; empty: none
  std::vector<std::string> more{};  ///< of granule train
};

/// Started beside the test.
[[nodiscard]] std::unique_ptr<RunningRanks> start_faulty(const Workshop& shop, const char* out,
                                                         const FaultyJob& job);

/// The same program on a system that tests/integration/odd_system.cpp makes odd, alone or as several ranks.
[[nodiscard]] ProgramResult run_on_odd_system(const std::string& system,
                                              const std::vector<std::string>& arguments,
                                              const std::string& fault = {}, int ranks = 1);

struct Ending {
  ProgramResult result;
  double seconds = 0.0;  ///< from the fault to the end of the job
};
[[nodiscard]] Ending end_of_faulty(const Workshop& shop, const char* out, const FaultyJob& job);

/// What a fault has to come to.
struct Expected {
  int code;
  std::string message;  ///< in what the job says
};
/// Of the faults that end a rank, stop it, or bring it out of step, on rank `rank`.
[[nodiscard]] Expected expected_end(const std::string& fault, int rank);

/// The faults that plant a value that is not finite: in the loss, the router's logits, an expert's gradient.
inline constexpr std::array kNotFinite{"nan-loss", "nan-logits", "nan-gradient"};
/// A run of 6 steps whose 4th such a fault on the last rank spoils; checks that all ranks skip that step and
/// that nothing else happens. The tensors at the end.
[[nodiscard]] std::string tensors_after_skip(const Workshop& shop, const std::string& fault, int ranks,
                                             int zero);

}  // namespace granule::test
