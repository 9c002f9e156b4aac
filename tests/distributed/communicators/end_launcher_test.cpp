// mpirun that stays after its job was aborted is killed, and nothing else is. Programs with its name stand in
// for it, because mpirun itself stays only now and then.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include <fmt/format.h>
#include <signal.h>

#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"

using namespace granule::test;
namespace fs = std::filesystem;

namespace {

using Environment = std::map<std::string, std::string>;
const Environment kOneHost{{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
    kTwoHosts{{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"}};

/// What a rank does about its launcher before it aborts.
const std::string kRank = fmt::format("{} end-launcher 1", GRANULE_RANKS);

void pause(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// Programs with the names of launchers, as shell commands.
class Launchers {
 public:
  /// Lives for 3 seconds after its rank has ended.
  [[nodiscard]] std::string living(const std::string& name, const std::string& rank = kRank) const {
    const fs::path script = directory_ / name;
    std::ofstream(script) << fmt::format("#!/bin/sh\n{}\nexec sleep 3\n", rank);
    fs::permissions(script, fs::perms::owner_all);
    return "exec " + script.string();
  }
  /// Locks itself up. The rank waits until its parent has the name.
  [[nodiscard]] std::string locked_up(const std::string& rank) const {
    const fs::path program = directory_ / "mpirun";
    if (!fs::exists(program)) fs::create_symlink(GRANULE_RANKS, program);
    return fmt::format("sh -c 'until grep -qx mpirun /proc/$PPID/comm; do :; done; {}' & exec {} lock-up",
                       rank, program.string());
  }

 private:
  TempDir directory_;
};

RunningProgram run_shell(const std::string& command, Environment environment) {
  return RunningProgram(
      {"-c", command},
      {.environment = std::move(environment), .program = "/bin/sh", .timeout = std::chrono::seconds(30)});
}

/// The processes that wait for the end of this launcher: they are in its directory.
int waiting_for(pid_t launcher) {
  const std::string directory = fmt::format("/proc/{}", launcher);
  int count = 0;
  std::error_code gone;
  for (const fs::directory_entry& one : fs::directory_iterator("/proc")) {
    const std::string place = fs::read_symlink(one.path() / "cwd", gone).string();
    count += place == directory || place.starts_with(directory + ' ') ? 1 : 0;  // "(deleted)"
  }
  return count;
}

/// Whether this comes true within 15 s, and not only after the 20 s of a real job.
bool soon(const std::function<bool()>& comes_true) {
  for (int i = 0; i < 750; ++i, pause(0.02))
    if (comes_true()) return true;
  return false;
}

std::string announced(const RunningProgram& launcher, int seconds) {
  return fmt::format("granule: the launcher (process {}) is killed in {} s if it still waits for a host\n",
                     launcher.pid(), seconds);
}

void check_killed(RunningProgram& launcher, const std::string& before = "") {
  const ProgramResult result = launcher.wait();
  CHECK(result.signal == SIGKILL);
  CHECK_FALSE(result.timed_out);
  CHECK(result.err ==
        before +
            fmt::format(
                "granule: mpirun (process {}) is still there 1 s after the job has ended, so it is killed\n",
                launcher.pid()));
}

void check_lived(RunningProgram& launcher, const std::string& said = "") {
  const ProgramResult result = launcher.wait();
  CHECK(result.exit_code == 0);
  CHECK(result.err == said);
}

}  // namespace

TEST_CASE(
    "end_launcher: mpirun that is locked up after its job was aborted is killed, also if a script started "
    "the rank") {
  const Launchers launchers;
  RunningProgram direct = run_shell(launchers.locked_up("exec " + kRank), kOneHost),
                 by_script = run_shell(launchers.locked_up(kRank + "; " + kRank), kOneHost),
                 suspended = run_shell(launchers.locked_up("exec " + kRank), kOneHost);
  CHECK(soon([&] { return waiting_for(suspended.pid()) > 0; }));
  suspended.send(SIGSTOP);
  check_killed(direct);
  check_killed(by_script);
  pause(1.0);
  CHECK(suspended.running());
  suspended.send(SIGCONT);
  check_killed(suspended);
}

TEST_CASE("end_launcher: mpirun that is not locked up may stay on one host, and so may every other program") {
  const Launchers launchers;
  const std::string mpirun = launchers.living("mpirun");
  RunningProgram one_host = run_shell(mpirun, kOneHost), two_hosts = run_shell(mpirun, kTwoHosts),
                 one_rank = run_shell(mpirun, {{"OMPI_COMM_WORLD_SIZE", "1"}}),
                 other_launcher = run_shell(mpirun, {{"PMI_SIZE", "2"}, {"PMI_RANK", "0"}}),
                 under_srun = run_shell(launchers.living("slurmstepd"), kTwoHosts),
                 second_host = run_shell(launchers.living("orted"), kTwoHosts);
  check_killed(two_hosts, announced(two_hosts, 1));  // it waits for a host that is frozen
  for (RunningProgram* const one : {&one_host, &one_rank, &other_launcher, &under_srun, &second_host})
    check_lived(*one);
}

TEST_CASE("end_launcher: nothing stays after an mpirun that ends by itself, and its output ends with it") {
  const Launchers launchers;
  const std::string mpirun = launchers.living("mpirun", fmt::format("{} end-launcher", GRANULE_RANKS));
  RunningProgram piped = run_shell("(" + mpirun + ") 2>&1 | cat", kTwoHosts),
                 alone = run_shell(mpirun, kTwoHosts);
  CHECK(soon([&] { return waiting_for(alone.pid()) > 0; }));
  CHECK(soon([&] { return !piped.running(); }));
  check_lived(alone, announced(alone, 20));
  check_lived(piped);
  CHECK(soon([&] { return waiting_for(alone.pid()) == 0; }));
}
