#include "tests/support/run_program.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"
#include "tests/support/paths.hpp"

namespace granule::test {
namespace {

constexpr std::chrono::milliseconds kPoll{2};

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text(*entry);
    if (!extra.contains(text.substr(0, text.find('=')))) result.push_back(text);
  }
  for (const auto& [name, value] : extra) result.push_back(fmt::format("{}={}", name, value));
  return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// These are files and not pipes. So a program that writes much, or never reads its input, cannot block the
// test.
class FileActions {
 public:
  /// `pipe` is the end to write to, or -1.
  FileActions(const TempDir& files, const std::filesystem::path& directory, int pipe) {
    posix_spawn_file_actions_init(&actions_);
    constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, (files / "in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, (files / "out").c_str(), kWrite, 0600);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, (files / "err").c_str(), kWrite, 0600);
    for (const int output : {STDOUT_FILENO, STDERR_FILENO})
      if (pipe >= 0) posix_spawn_file_actions_adddup2(&actions_, pipe, output);
    if (!directory.empty()) posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
  }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

RunningProgram::RunningProgram(const std::vector<std::string>& arguments, ProgramOptions options)
    : options_(std::move(options)), deadline_(std::chrono::steady_clock::now() + options_.timeout) {
  std::ofstream(files_ / "in", std::ios::binary) << options_.input;
  start(arguments);
}

RunningProgram::~RunningProgram() {
  if (unread_ >= 0) ::close(unread_);
  if (!running()) return;
  kill_group();
  waitpid(pid_, &status_, 0);
}

void RunningProgram::start(const std::vector<std::string>& arguments) {
  std::vector<std::string> words{options_.program.empty() ? program_path() : options_.program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_with(options_.environment);
  std::array<int, 2> ends{-1, -1};
  if (options_.unread)
    GRANULE_CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe: {}", std::strerror(errno));
  unread_ = ends[0];
  const FileActions actions(files_, options_.working_directory, ends[1]);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // It gets its own process group, so that a timeout also ends its children (mpirun's ranks).
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  const int failure = posix_spawnp(&pid_, words[0].c_str(), actions.get(), &attributes,
                                   pointers_to(words).data(), pointers_to(variables).data());
  posix_spawnattr_destroy(&attributes);
  if (ends[1] >= 0) ::close(ends[1]);
  GRANULE_CHECK(failure == 0, "cannot run {}: {}", words[0], std::strerror(failure));
}

void RunningProgram::kill_group() const {
  ::kill(-pid_, SIGKILL);
}

void RunningProgram::send(int signal) const {
  ::kill(pid_, signal);
}

bool RunningProgram::running() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

std::string RunningProgram::out() const {
  return contents(files_ / "out");
}

std::string RunningProgram::err() const {
  return contents(files_ / "err");
}

bool RunningProgram::wait_for_err(const std::string& text) {
  for (;;) {
    // This comes before reading, because nothing is written after the answer "no".
    const bool alive = running();
    if (err().find(text) != std::string::npos) return true;
    if (!alive || std::chrono::steady_clock::now() > deadline_) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

ProgramResult RunningProgram::wait() {
  ProgramResult result;
  while (running()) {
    if (std::chrono::steady_clock::now() > deadline_) {
      result.timed_out = true;
      kill_group();
      waitpid(pid_, &status_, 0);
      ended_ = true;
      break;
    }
    std::this_thread::sleep_for(kPoll);
  }
  result.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  result.signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  result.out = out();
  result.err = err();
  return result;
}

ProgramResult run_program(const std::vector<std::string>& arguments, ProgramOptions options) {
  return RunningProgram(arguments, std::move(options)).wait();
}

}  // namespace granule::test
