#include "tests/support/mpirun.hpp"

#include <fstream>
#include <iterator>
#include <utility>

#include <fmt/format.h>
#include <signal.h>

namespace granule::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> mpirun_words(const fs::path& session, int ranks, std::vector<std::string> words) {
  const std::vector<std::string> flags{"--mca",
                                       "btl_vader_backing_directory",  // Open MPI 4
                                       session.string(),
                                       "--mca",
                                       "btl_sm_backing_directory",  // Open MPI 5
                                       session.string(),
                                       "--mca",
                                       "mpi_yield_when_idle",
                                       "1",
                                       "--oversubscribe",
                                       "--bind-to",
                                       "none",
                                       "-np",
                                       fmt::format("{}", ranks)};
  words.insert(words.begin(), flags.begin(), flags.end());
  return words;
}

ProgramOptions mpirun_options(const fs::path& session, ProgramOptions options) {
  // OpenMPI keeps memory until the end of the process. Under a sanitizer, its leaks would change the exit
  // code.
  const std::map<std::string, std::string> needed{
      {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
      {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
      {"TMPDIR", session.string()},  // where both versions keep the files of a job
      {"ASAN_OPTIONS", "detect_leaks=0"},
      {"TSAN_OPTIONS", "ignore_noninstrumented_modules=1"}};
  options.environment.insert(needed.begin(), needed.end());
  options.program = "/usr/bin/mpirun";
  return options;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

RunningRanks::RunningRanks(int ranks, std::vector<std::string> words, ProgramOptions options)
    : ranks_(ranks),
      launcher_(mpirun_words(session_.path(), ranks, std::move(words)),
                mpirun_options(session_.path(), std::move(options))) {}

RunningRanks::~RunningRanks() {
  for (int rank = 0; rank < ranks_; ++rank) {
    if (const pid_t pid = process(rank); pid > 0) ::kill(pid, SIGKILL);
  }
}

pid_t RunningRanks::process(int rank) const {
  const fs::path of_launcher = fs::path("/proc") / std::to_string(launcher_.pid());
  const std::string mine = fmt::format("OMPI_COMM_WORLD_RANK={}", rank) + '\0';
  std::error_code gone;
  for (const fs::directory_entry& thread : fs::directory_iterator(of_launcher / "task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t pid = 0; children >> pid;) {
      if (contents(fs::path("/proc") / std::to_string(pid) / "environ").find(mine) != std::string::npos) {
        return pid;
      }
    }
  }
  return -1;
}

ProgramResult under_mpirun(int ranks, std::vector<std::string> words, ProgramOptions options) {
  return RunningRanks(ranks, std::move(words), std::move(options)).launcher().wait();
}

}  // namespace granule::test
