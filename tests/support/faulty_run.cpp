#include "tests/support/faulty_run.hpp"

#include <map>

#include <fmt/format.h>

#include "core/error.hpp"

namespace granule::test {

std::unique_ptr<RunningRanks> start_faulty(const Workshop& shop, const char* out, const FaultyJob& job) {
  std::vector<std::string> words{GRANULE_FAULTY, "train", shop.path("run.toml"), "--out", shop.path(out)};
  words.insert(words.end(), job.more.begin(), job.more.end());
  return std::make_unique<RunningRanks>(job.ranks, std::move(words),
                                        ProgramOptions{.environment = {{"GRANULE_FAULT", job.fault}}});
}

Ending end_of_faulty(const Workshop& shop, const char* out, const FaultyJob& job) {
  const auto running = start_faulty(shop, out, job);
  const bool planted = running->launcher().wait_for_err("planted ");
  const auto start = std::chrono::steady_clock::now();
  Ending ending{.result = running->launcher().wait()};
  ending.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  GRANULE_CHECK(planted, "'{}' has not happened: {}", job.fault, ending.result.err);
  return ending;
}

Expected expected_end(const std::string& fault, int rank) {
  // Of those that are killed, the launcher speaks.
  static const std::map<std::string, Expected> kEndings{
      {"kill", {137, "exited on signal 9"}},  {"segfault", {139, "exited on signal 11"}},
      {"abort", {134, "exited on signal 6"}}, {"exit", {1, "exiting improperly"}},
      {"skip", {76, "ranks out of step"}},    {"repeat", {76, "ranks out of step"}}};
  if (fault == "throw") {
    return {1, fmt::format("granule: error: rank {}: a planted exception", rank)};
  }
  const auto ending = kEndings.find(fault);
  if (ending != kEndings.end()) return ending->second;
  return {75, fmt::format("rank {} has not moved for", rank == 0 ? 1 : 0)};  // a rank that hangs
}

}  // namespace granule::test
