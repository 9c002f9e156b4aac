#include "apps/training/stop_signals.hpp"

#include <csignal>

#include <pthread.h>
#include <unistd.h>

namespace granule {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  listener_ = std::thread([this] { listen(); });
}

StopSignals::~StopSignals() {
  finished_ = true;
  pthread_kill(listener_.native_handle(), SIGUSR1);
  listener_.join();
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::listen() {
  const sigset_t set = stop_signals();
  for (;;) {
    int signal = 0;
    sigwait(&set, &signal);
    if (finished_) return;
    if (signal == SIGUSR1) {
      save_ = true;
    } else {
      stopped_by_ = signal;
      if (stop_.exchange(true)) _exit(128 + signal);
    }
  }
}

SignalRequest StopSignals::take() {
  if (stop_) return SignalRequest::stop;
  return save_.exchange(false) ? SignalRequest::save : SignalRequest::none;
}

}  // namespace granule
