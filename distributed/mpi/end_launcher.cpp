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

/// Field 22 of the process's stat is its start. It distinguishes the process from a later one with the same
/// number.
std::string start_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text, field;
  std::getline(file, text);
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(text.substr(name_end + 1));
  for (int number = 3; number <= 22; ++number) fields >> field;
  return field;
}

/// Only a launcher of one job may be killed. One that serves several must live on.
bool is_launcher(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  std::getline(file, name);
  constexpr std::array kLaunchers{"mpirun", "mpiexec", "orterun", "prterun"};
  return std::ranges::find(kLaunchers, name) != kLaunchers.end();
}

constexpr const char* kScript =
    "sleep $2; start=$(sed 's/.*) //' /proc/$0/stat | cut -d' ' -f20); "
    "if [ \"$start\" = \"$1\" ]; then kill -KILL $0; fi";

/// It runs in its own session, so that the launcher does not end it with the ranks. It has none of their
/// streams, because the launcher waits for the end of these.
bool spawn_script(const std::string& process, const std::string& start, const std::string& seconds) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&files, stream, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  std::array<std::string, 6> words{"sh", "-c", kScript, process, start, seconds};
  std::array<char*, 7> arguments{};
  std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });
  pid_t spawned = 0;
  const int error = ::posix_spawn(&spawned, "/bin/sh", &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0;
}

}  // namespace

void end_launcher_later() {
  const pid_t parent = ::getppid();
  if (!launched_on_several_hosts() || !is_launcher(parent)) return;
  const std::string start = start_of(parent);
  const std::string seconds = fmt::format("{}", kLauncherSeconds);
  if (start.empty() || !spawn_script(fmt::format("{}", parent), start, seconds)) return;
  fmt::print(
      stderr, "{}",
      fmt::format("granule: the launcher (process {}) is killed in {} s if it still waits for a host\n",
                  parent, seconds));
}

}  // namespace granule
