// Runs a program as ranks under mpirun, with what it needs in a container and on few cores.
#pragma once
#include "tests/support/run_program.hpp"

namespace granule::test {

/// `words` is the program and its arguments.
[[nodiscard]] ProgramResult under_mpirun(int ranks, std::vector<std::string> words);

}  // namespace granule::test
