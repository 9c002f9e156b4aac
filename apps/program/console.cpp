#include "apps/program/console.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include "apps/program/same_program.hpp"
#include "apps/program/stderr_queue.hpp"
#include "data/files/disk.hpp"
#include "distributed/agreement.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {

void print_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw ReaderGone();
  throw_errno("write the output", "stdout");
}

bool somebody_reads_out() noexcept {
  constexpr int kMilliseconds = 2000;
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&out, 1, kMilliseconds) != 0;  // the write itself reports an error
}

void print_json(const nlohmann::json& json, int indent) {
  print_out(json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void print_json(const nlohmann::ordered_json& json, int indent) {
  print_out(json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

std::optional<Error> print_result(const nlohmann::ordered_json& json) {
  if (!somebody_reads_out()) {
    say("granule: warning: nobody reads stdout: its line is left out");
    return std::nullopt;
  }
  try {
    print_json(json);
  } catch (const ReaderGone&) {
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

void print_err(std::string_view text) noexcept {
  StderrQueue::of_process().write(text);
}

void print_progress(std::string_view line) noexcept {
  StderrQueue::of_process().write_progress(line);
}

void finish_saying() noexcept {
  StderrQueue::of_process().drain();
}

void say_error(std::string_view message) {
  std::string line(message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  say("granule: error: {}", line);
}

bool refuses_several(const Communicator& ranks, std::string_view what, std::string_view advice) {
  if (ranks.size() == 1) return false;
  // This comes before the communicator ends, because a launcher ends the other ranks when the first one has
  // failed.
  if (ranks.rank() == 0) {
    const Error error(ExitCode::user, what, fmt::format("{} ranks", ranks.size()), advice);
    say_error(error.what());
  }
  return true;
}

void run_job_together(const std::function<void(Communicator&)>& body) {
  std::optional<ExitCode> agreed;
  run_job([&](Communicator& ranks) {
    try {
      require_same_program(ranks, this_program());
      body(ranks);
    } catch (const AgreedError& error) {
      if (ranks.rank() == 0) say_error(error.what());  // before any rank leaves, as above
      agreed = error.code();
    } catch (...) {
      finish_saying();  // the job ends, and the thread that writes the message ends with it
      throw;
    }
  });
  if (agreed) throw SilentEnd{*agreed};
}

WatchdogOptions watchdog_options() {
  return {.say =
              [](std::string_view line) {
                say("{}", line);
                finish_saying();
              },
          .end =
              [](const Error& hang) {
                say_error(hang.what());
                finish_saying();
                _exit(static_cast<int>(hang.code()));
              }};
}

void prepare_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // The lowest free number is the one that is missing. It is not opened for writing, so a result that
    // cannot be delivered becomes an error.
    static_cast<void>(open("/dev/null", O_RDONLY));
  }
}

}  // namespace granule
