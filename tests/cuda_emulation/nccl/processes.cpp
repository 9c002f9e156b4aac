#include "tests/cuda_emulation/nccl/processes.hpp"

#include <array>
#include <cstring>
#include <exception>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/runtime/streams.hpp"

namespace cuda_emulation {
namespace {

constexpr int kPatience = 5000;  // milliseconds; a test takes some

struct Child {
  pid_t process = -1;
  int out = -1;
};

[[noreturn]] void run_child(int out, int rank, const std::function<void(int)>& body) {
  std::string said;
  forget_device();
  try {
    body(rank);
  } catch (const std::exception& error) {
    said = error.what();
  }
  const auto written = write(out, said.data(), said.size());
  _exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
}

std::string end_of(const Child& child) {
  std::string said;
  std::array<char, 1024> part{};
  for (;;) {
    pollfd ready{.fd = child.out, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, kPatience) == 0) {
      kill(child.process, SIGKILL);
      said = "hangs";
      break;
    }
    const ssize_t bytes = read(child.out, part.data(), part.size());
    if (bytes <= 0) break;
    said.append(part.data(), static_cast<std::size_t>(bytes));
  }
  close(child.out);
  int status = 0;
  waitpid(child.process, &status, 0);
  if (said.empty() && status != 0) said = "status " + std::to_string(status);
  return said;
}

}  // namespace

std::vector<std::string> in_processes(int n, const std::function<void(int rank)>& body) {
  std::vector<Child> children;
  for (int rank = 0; rank < n; ++rank) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) fail("no pipe for a process of a test");
    const pid_t process = fork();
    if (process == 0) {
      for (const Child& other : children) close(other.out);
      close(ends[0]);
      run_child(ends[1], rank, body);
    }
    close(ends[1]);
    children.push_back({process, ends[0]});
  }
  std::vector<std::string> said;
  for (const Child& child : children) said.push_back(end_of(child));
  return said;
}

}  // namespace cuda_emulation
