#include "apps/training/stop_signals.hpp"

#include <csignal>
#include <string>

#include <pthread.h>
#include <unistd.h>

#include "apps/program/console.hpp"
#include "distributed/mpi/launched.hpp"

namespace granule {
namespace {

// A second SIGINT that comes sooner may be the same one, sent twice.
constexpr std::chrono::seconds kDeliberate{1};
constexpr int kFailure = 128;  // the signal's number is added, as shells do

bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t signals_taken() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  if (!is_ignored(SIGHUP)) sigaddset(&set, SIGHUP);
  return set;
}

/// The first rank writes for all. It need not have met the others yet.
bool speaks() {
  return launched_rank() == 0;
}

/// Ends this process by the signal. It returns if the system does not allow that, as in the first process of
/// a container.
void raise_by_default(int signal) {
  std::signal(signal, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
}

std::string doing_text(StopSignals::Activity activity, std::int64_t step) {
  switch (activity) {
    case StopSignals::Activity::set_up:
      return "ending before a step is taken";
    case StopSignals::Activity::evaluation:
      return fmt::format("ending the evaluation after step {}, then saving", step);
    case StopSignals::Activity::watching:
      return "ending; the newest report stays as it is";
    case StopSignals::Activity::sweep:
      return "the cells that run finish their step and save, then the sweep stops";
    case StopSignals::Activity::step:
      break;
  }
  return fmt::format("finishing step {}, then saving", step);
}

}  // namespace

std::string_view name_of_signal(int signal) {
  switch (signal) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "another signal";
  }
}

int end_by(StoppedBySignal stopped) {
  finish_saying();
  if (stopped.signal == SIGUSR2) return 0;
  if (!under_mpi_launcher()) raise_by_default(stopped.signal);
  return kFailure + stopped.signal;
}

StopSignals::StopSignals() {
  const sigset_t set = signals_taken();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  listener_ = std::thread([this, set] {
    // The destructor of this object wakes the thread with SIGUSR1.
    for (int signal = 0; sigwait(&set, &signal) == 0 && !finished_;) take(signal);
  });
}

StopSignals::~StopSignals() {
  finished_ = true;
  pthread_kill(listener_.native_handle(), SIGUSR1);
  listener_.join();
}

void StopSignals::take(int signal) {
  if (signal == SIGUSR1) {
    save_ = true;
    return;
  }
  if (signal == SIGINT && interrupt_said_ && Clock::now() - *interrupt_said_ >= kDeliberate) end_at_once();
  int none = 0;
  const bool first = stop_.compare_exchange_strong(none, signal);
  const bool first_interrupt = signal == SIGINT && !interrupt_said_;
  if (!first && !first_interrupt) return;
  say_stop(signal);
  if (first_interrupt) interrupt_said_ = Clock::now();
}

void StopSignals::say_stop(int signal) const {
  if (!speaks()) return;
  const char* const again =
      signal == SIGINT ? "Ctrl-C (SIGINT) again, a second from now or later, stops at once without saving"
                       : "the same signal again changes nothing";
  const char* const over_progress = isatty(STDERR_FILENO) == 1 ? "\r\033[K" : "";
  say("{}{}: {}; {}", over_progress, name_of_signal(signal), doing_text(activity_, step_), again);
}

void StopSignals::end_at_once() {
  if (speaks()) say("SIGINT again: stopping at once, without saving");
  finish_saying();
  if (!under_mpi_launcher()) raise_by_default(SIGINT);
  _exit(kFailure + SIGINT);
}

void StopSignals::enter(Activity activity, std::int64_t step) {
  step_ = step;
  activity_ = activity;
}

SignalRequest StopSignals::take() {
  return {.save = save_.exchange(false), .stop = stop_};
}

}  // namespace granule
