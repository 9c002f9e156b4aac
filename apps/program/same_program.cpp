#include "apps/program/same_program.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "apps/program/version.hpp"
#include "core/kernels/instruction_set.hpp"
#include "distributed/agreement.hpp"
#include "distributed/hosts.hpp"

namespace granule {
namespace {

constexpr const char* kVariable = "GRANULE_CPU_TARGET";

/// The lowest rank whose text differs from that of rank 0, or the number of ranks if there is none.
std::size_t first_other(const std::vector<std::string>& texts) {
  const auto other = [&](const std::string& text) { return text != texts[0]; };
  return static_cast<std::size_t>(std::ranges::find_if(texts, other) - texts.begin());
}

}  // namespace

ProgramIdentity this_program() {
  return {version_and_commit(), instruction_set()};
}

void require_same_program(Communicator& ranks, const ProgramIdentity& mine) {
  if (ranks.size() == 1) return;
  const std::vector<std::string> versions = texts_of_all(ranks, mine.version, "program");
  const std::vector<std::string> sets = texts_of_all(ranks, mine.instruction_set, "program");
  const Hosts hosts(ranks);
  const auto refuse = [&](std::string_view what, const std::vector<std::string>& texts, std::size_t other,
                          const std::string& advice) {
    throw AgreedError(ExitCode::out_of_step,
                      fmt::format("the ranks {}: {} {}, {} {}", what, hosts.text(0), texts[0],
                                  hosts.text(static_cast<int>(other)), texts[other]),
                      "granule", advice);
  };
  if (const std::size_t other = first_other(versions); other < versions.size())
    refuse("are of different versions", versions, other, "install one version on every host");
  if (const std::size_t other = first_other(sets); other < sets.size()) {
    refuse("compute with different instruction sets, whose sums differ in the last bits", sets, other,
           fmt::format("let all compute with the lesser one: mpirun -x {}={}", kVariable,
                       common_instruction_set(sets)));
  }
}

void limit_instruction_set() {
  const char* const name = std::getenv(kVariable);
  if (name == nullptr || *name == '\0' || use_instruction_set(name)) return;
  user_error(fmt::format("there is no instruction set '{}' here", name), kVariable,
             "choose one of " + fmt::format("{}", fmt::join(instruction_sets(), ", ")));
}

}  // namespace granule
