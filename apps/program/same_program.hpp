// Ranks of one job run one program on one instruction set: others would compute other bits, and fall out of
// step somewhere in the middle.
#pragma once
#include <string>

#include "distributed/communicators/communicator.hpp"

namespace granule {

struct ProgramIdentity {
  std::string version;          ///< with the commit
  std::string instruction_set;  ///< that kernels were chosen for
};
[[nodiscard]] ProgramIdentity this_program();

/// Throws AgreedError (76) that names both, and the ranks, where two ranks differ in one of them. A
/// collective, the first of every job.
void require_same_program(Communicator& ranks, const ProgramIdentity& mine);

/// Reads GRANULE_CPU_TARGET of the environment, before the first kernel runs: no better instruction set than
/// the one it names is used. Throws a user error for a name that this machine or this build does not have.
void limit_instruction_set();

}  // namespace granule
