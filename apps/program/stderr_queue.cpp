#include "apps/program/stderr_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <thread>

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace granule {
namespace {

// Progress is left out if this many bytes are waiting. It is the size of a pipe's buffer.
constexpr std::size_t kMostWaiting = 64 << 10;
// This much is written at once, so that progress of a slow reader is noticed.
constexpr std::size_t kPiece = 4096;
constexpr std::chrono::seconds kStill{2}, kLongest{10};

bool is_regular_file(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

StderrQueue::StderrQueue(int fd) : fd_(fd), direct_(is_regular_file(fd)) {}

StderrQueue& StderrQueue::of_process() {
  static auto* const queue = new StderrQueue(STDERR_FILENO);  // never destroyed, like its thread
  return *queue;
}

void StderrQueue::write(std::string_view text) noexcept {
  take(text, Kind::must);
}

void StderrQueue::write_progress(std::string_view line) noexcept {
  take(line, Kind::progress);
}

void StderrQueue::take(std::string_view text, Kind kind) noexcept try {
  if (direct_) return write_now(text);
  const std::scoped_lock lock(mutex_);
  if (gone_) return;
  if (kind == Kind::progress && waiting_bytes_ > kMostWaiting) {
    ++left_out_;
    return;
  }
  if (started_in_ != getpid()) start();
  waiting_.emplace_back(text);
  waiting_bytes_ += text.size();
  changed_.notify_all();
} catch (const std::exception&) {  // no memory or thread is left
  write_now(text);
}

/// The thread blocks all signals, because those of a run are for another thread.
void StderrQueue::start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread([this] { work(); }).detach();
    started_in_ = getpid();
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// Call it with the lock held and something to write.
std::string StderrQueue::next() {
  if (waiting_.empty()) {
    const std::int64_t lines = left_out_;
    left_out_ = 0;
    return fmt::format("granule: {} lines of progress were not shown: nobody read them\n", lines);
  }
  std::string text = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= text.size();
  return text;
}

void StderrQueue::work() {
  for (;;) {
    std::string text;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !waiting_.empty() || left_out_ > 0; });
      text = next();
      busy_ = true;
    }
    write_now(text);
    const std::scoped_lock lock(mutex_);
    busy_ = false;
    changed_.notify_all();
  }
}

void StderrQueue::write_now(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), std::min(text.size(), kPiece));
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
      if (direct_) continue;
      const std::scoped_lock lock(mutex_);
      moved_ = Clock::now();
    } else if (errno == EAGAIN) {  // another program has set it to non-blocking
      pollfd writable{.fd = fd_, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      if (direct_) return;
      const std::scoped_lock lock(mutex_);
      gone_ = true;  // there is no reader any more
      waiting_.clear();
      waiting_bytes_ = 0;
      return;
    }
  }
}

void StderrQueue::drain() noexcept try {
  std::unique_lock lock(mutex_);
  const auto begin = moved_ = Clock::now();
  while (busy_ || !waiting_.empty()) {
    const auto end = std::min(moved_ + kStill, begin + kLongest);
    if (Clock::now() >= end) return;
    changed_.wait_until(lock, end);
  }
} catch (const std::exception&) {  // if the lock cannot be taken, there is no waiting
}

}  // namespace granule
