#include "distributed/mpi/end_launcher.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include "distributed/mpi/launched.hpp"

namespace granule {
namespace {

pid_t parent_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text, state;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 1));  // the name before it may have spaces
  pid_t parent = 0;
  fields >> state >> parent;
  return parent;
}

/// Only a launcher of one job may be killed. One that serves several must live on.
bool is_launcher(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  constexpr std::array kLaunchers{"mpirun", "mpiexec", "orterun", "prterun"};
  return std::ranges::find(kLaunchers, name) != kLaunchers.end();
}

/// The program that started this process, or a script around it. 0 if there is none that can be killed: a
/// container's process 1 cannot.
pid_t launcher() {
  for (pid_t process = ::getppid(); process > 1; process = parent_of(process))
    if (is_launcher(process)) return process;
  return 0;
}

/// Arguments: the launcher, seconds, and what it must be waiting for in the kernel all that time. The working
/// directory is the launcher's in /proc. It never becomes that of a later process with the same number.
constexpr const char* kScript = R"sh(
  left=$1
  while [ "$left" -gt 0 ]; do
    sleep 1 && read -r state <stat || exit
    case ${state##*) } in
      [ZX]*) exit ;;       # ended, but its parent has not looked
      [Tt]*) continue ;;  # suspended
    esac
    read -r wait <wchan
    case $wait in
      $2) left=$((left - 1)) ;;
      *) left=$1 ;;
    esac
  done
  # One speaks for all ranks. A full pipe must not hold it.
  exec 3<stat && flock -n 3
  [ $? != 1 ] || exit
  said="granule: mpirun (process $0) is still there $1 s after the job has ended, so it is killed"
  timeout -s KILL 2 sh -c 'echo "$0" >>fd/2' "$said"
  read -r state <stat && kill -KILL "$0"
)sh";

/// It runs in its own session, so that mpirun does not end it with the ranks. It has none of their streams,
/// because mpirun waits for the end of these.
bool spawn_script(pid_t launcher, int seconds, const char* waits) {
  const std::string directory = fmt::format("/proc/{}", launcher);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_addchdir_np(&files, directory.c_str());
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&files, stream, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  std::array<std::string, 6> words{
      "sh", "-c", kScript, fmt::format("{}", launcher), fmt::format("{}", seconds), waits};
  std::array<char*, 7> arguments{};
  std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });
  pid_t spawned = 0;
  const int error = ::posix_spawn(&spawned, "/bin/sh", &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0;
}

}  // namespace

void end_launcher_later(int seconds) {
  if (!launched_with_others()) return;
  const bool several_hosts = launched_on_several_hosts();
  const pid_t found = launcher();
  if (found == 0 || !spawn_script(found, seconds, several_hosts ? "*" : "*futex*") || !several_hosts) return;
  fmt::print(
      stderr, "{}",
      fmt::format("granule: the launcher (process {}) is killed in {} s if it still waits for a host\n",
                  found, seconds));
}

}  // namespace granule
