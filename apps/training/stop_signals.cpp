#include "apps/training/stop_signals.hpp"

#include <array>
#include <csignal>

#include <unistd.h>

namespace granule {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

// Written by the handler, which belongs to the process: there is one set of signals however many ranks.
volatile std::sig_atomic_t g_stop = 0;
volatile std::sig_atomic_t g_save = 0;

void on_signal(int signal) {
  if (signal == SIGUSR1) {
    g_save = 1;
    return;
  }
  if (g_stop != 0) _exit(128 + signal);
  g_stop = 1;
}

void set_handlers(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  g_stop = 0;
  g_save = 0;
  set_handlers(on_signal);
}

StopSignals::~StopSignals() {
  set_handlers(SIG_DFL);
}

SignalRequest StopSignals::take() {
  if (g_stop != 0) return SignalRequest::stop;
  if (g_save == 0) return SignalRequest::none;
  g_save = 0;
  return SignalRequest::save;
}

}  // namespace granule
