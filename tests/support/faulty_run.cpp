#include "tests/support/faulty_run.hpp"

#include <map>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

namespace granule::test {

std::unique_ptr<RunningRanks> start_faulty(const Workshop& shop, const char* out, const FaultyJob& job) {
  std::vector<std::string> words{GRANULE_FAULTY, "train", shop.path("run.toml"), "--out", shop.path(out)};
  words.insert(words.end(), job.more.begin(), job.more.end());
  ProgramOptions options{.environment = job.environment};
  options.environment["GRANULE_FAULT"] = job.fault;
  return std::make_unique<RunningRanks>(job.ranks, std::move(words), std::move(options));
}

ProgramResult run_on_odd_system(const std::string& system, const std::vector<std::string>& arguments,
                                const std::string& fault, int ranks) {
  ProgramOptions options{.environment = {{"GRANULE_SYSTEM", system}, {"GRANULE_FAULT", fault}},
                         .program = GRANULE_FAULTY};
  if (ranks == 1) return run_program(arguments, std::move(options));
  std::vector<std::string> words{GRANULE_FAULTY};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return under_mpirun(ranks, std::move(words), std::move(options));
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
  // If a rank is killed, the launcher writes the message.
  static const std::map<std::string, Expected> kEndings{
      {"kill", {137, "exited on signal 9"}},  {"segfault", {139, "exited on signal 11"}},
      {"abort", {134, "exited on signal 6"}}, {"exit", {1, "exiting improperly"}},
      {"skip", {76, "ranks out of step"}},    {"repeat", {76, "ranks out of step"}}};
  if (fault == "throw") {
    return {1, fmt::format("granule: error: rank {}: a planted exception", rank)};
  }
  const auto ending = kEndings.find(fault);
  if (ending != kEndings.end()) return ending->second;
  return {75, fmt::format("rank {} has not moved for", rank == 0 ? 1 : 0)};  // for a rank that hangs
}

bool Expected::is_said_in(const std::string& printed) const {
  std::istringstream words(printed);
  std::string line;
  for (std::string word; words >> word;) line += word + ' ';
  return line.find(message) != std::string::npos;
}

std::string tensors_after_skip(const Workshop& shop, const std::string& fault, int ranks, int zero) {
  const std::string out = fmt::format("run-{}-{}-{}", ranks, zero, fault);
  const auto job = start_faulty(
      shop, out.c_str(),
      {.ranks = ranks,
       .fault = fmt::format("{} rank={} step=4", fault, ranks - 1),
       .more = {"train.micro_batch_size=1", "train.steps=6", "checkpoint.every=1", "checkpoint.keep=0",
                "eval.every=0", "log.every=1", fmt::format("parallel.zero={}", zero),
                fmt::format("parallel.ep={}", ranks == 4 ? 2 : 1)}});
  const ProgramResult result = job->launcher().wait();
  INFO(out << '\n' << result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, Catch::Contains("planted") && Catch::Contains("skipped: not finite"));
  CHECK(shop.tensors(out.c_str(), 4) == shop.tensors(out.c_str(), 3));
  CHECK(shop.tensors(out.c_str(), 5) != shop.tensors(out.c_str(), 4));
  const auto state = nlohmann::json::parse(text_of(shop.checkpoint(out.c_str(), 4) / "state.json"));
  CHECK(state["consumed_samples"] == 16);
  CHECK(state["sections"]["optimizer"]["steps"] == 3);
  CHECK(state["sections"]["step_guard"]["skips_in_row"] == 1);
  const auto rows = shop.metrics(out.c_str());
  REQUIRE(rows.size() == 6);
  for (std::size_t step = 1; step <= 6; ++step) CHECK(rows[step - 1]["skipped"] == (step == 4));
  return shop.tensors(out.c_str(), 6);
}

}  // namespace granule::test
