#include "apps/program/lost_file.hpp"

#include <csignal>
#include <cstring>

#include <unistd.h>

#include "core/error.hpp"
#include "data/files/mapped_ranges.hpp"

namespace granule {
namespace {

void write_text(const char* text) {
  static_cast<void>(!::write(STDERR_FILENO, text, std::strlen(text)));
}

/// Only functions that a signal handler may call.
void end_with_name(int signal, siginfo_t* info, void*) {
  const char* const path = path_mapped_at(info->si_addr);
  if (path == nullptr) {  // the access is repeated, and now ends the process
    std::signal(signal, SIG_DFL);
    return;
  }
  write_text("granule: error: the file can no longer be read: it was cut short, or its disk failed (");
  write_text(path);
  write_text("): put the whole file back, then start again\n");
  _exit(static_cast<int>(ExitCode::io));
}

}  // namespace

void name_lost_files() {
  struct sigaction action {};
  action.sa_sigaction = end_with_name;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace granule
