// All ranks of a job must run the same program on the same instruction set. Otherwise they would compute
// different bits and get out of step later.
#pragma once
#include <string>

#include "distributed/communicators/communicator.hpp"

namespace granule {

struct ProgramIdentity {
  std::string version;          ///< including the commit
  std::string instruction_set;  ///< the one that kernels were chosen for
};
[[nodiscard]] ProgramIdentity this_program();

/// Throws AgreedError (76) if two ranks differ in one of these. It names both values and the ranks. This is a
/// collective, the first of every job.
void require_same_program(Communicator& ranks, const ProgramIdentity& mine);

/// Reads GRANULE_CPU_TARGET from the environment before the first kernel runs. Then no better instruction set
/// than the named one is used. Throws a user error for a name that this machine or this build does not have.
void limit_instruction_set();

}  // namespace granule
