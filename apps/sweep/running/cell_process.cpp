#include "apps/sweep/running/cell_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr int kSignalEnd = 128;  // shells add the number of the signal to it
constexpr int kNotStarted = 127;

/// Between fork and exec only functions that a signal handler may call are allowed, because other threads may
/// hold locks.
[[noreturn]] void become(char* const* words, int log, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kNotStarted);  // it has ended already
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv("/proc/self/exe", words);
  _exit(kNotStarted);
}

}  // namespace

CellProcess::CellProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log) {
  std::vector<std::string> copies{"granule"};
  copies.insert(copies.end(), arguments.begin(), arguments.end());
  std::vector<char*> words;
  for (std::string& word : copies) words.push_back(word.data());
  words.push_back(nullptr);
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) io_error(fmt::format("cannot open the log: {}", std::strerror(errno)), log.string(), "");
  std::signal(SIGCHLD, SIG_DFL);  // if it is ignored, the system forgets how children ended
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(words.data(), file, parent);
  const int failure = errno;
  close(file);
  if (pid_ < 0)
    throw Error(ExitCode::out_of_memory, fmt::format("cannot start a process: {}", std::strerror(failure)),
                "sweep", "raise the limits of this process (ulimit -u), or lower --jobs");
}

CellProcess::~CellProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void CellProcess::send(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

std::optional<int> CellProcess::exit_code() {
  int status = 0;
  if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  return WIFSIGNALED(status) ? kSignalEnd + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace granule
