#include "tests/cuda_emulation/nccl/processes.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <utility>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/runtime/streams.hpp"

namespace cuda_emulation {
namespace {

struct Child {
  pid_t process = -1;
  int out = -1;  // -1 after its end
  std::string said{};
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

/// Whoever waits for a rank that has failed may wait for ever.
constexpr std::chrono::milliseconds kPatienceAfterFailure{5000};

/// Reads what a child says, or notes how it has ended. Returns whether it has failed.
bool listen(Child& child) {
  std::array<char, 1024> part{};
  const ssize_t bytes = read(child.out, part.data(), part.size());
  if (bytes > 0) {
    child.said.append(part.data(), static_cast<std::size_t>(bytes));
    return true;
  }
  close(std::exchange(child.out, -1));
  int status = 0;
  waitpid(child.process, &status, 0);
  if (child.said.empty() && status != 0) child.said = "status " + std::to_string(status);
  return !child.said.empty();
}

/// Until all have ended, or nobody has said anything for so long.
void wait_for(std::vector<Child>& children, std::chrono::milliseconds patience) {
  for (;;) {
    std::vector<pollfd> ready;  // poll() passes over those whose `out` is -1
    for (const Child& child : children) ready.push_back({.fd = child.out, .events = POLLIN, .revents = 0});
    if (std::ranges::all_of(ready, [](const pollfd& one) { return one.fd < 0; })) return;
    const bool silent = poll(ready.data(), ready.size(), static_cast<int>(patience.count())) == 0;
    for (std::size_t i = 0; i < children.size(); ++i) {
      Child& child = children[i];
      if (silent && child.out >= 0) {
        kill(child.process, SIGKILL);
        close(std::exchange(child.out, -1));
        waitpid(child.process, nullptr, 0);
        child.said = "hangs";
      } else if (ready[i].revents != 0 && listen(child)) {
        patience = std::min(patience, kPatienceAfterFailure);
      }
    }
  }
}

}  // namespace

std::vector<std::string> in_processes(int n, const std::function<void(int rank)>& body,
                                      std::chrono::seconds patience) {
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
  wait_for(children, patience);
  std::vector<std::string> said;
  for (const Child& child : children) said.push_back(child.said);
  return said;
}

}  // namespace cuda_emulation
