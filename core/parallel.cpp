#include "core/parallel.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <sched.h>

#include "core/cpu_quota.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

constexpr int kSpins = 2000;  // some 50–100 µs: longer than the gap between two operators of a step

thread_local bool t_inside_task = false;
thread_local int t_thread_index = 0;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Spins, then sleeps, until `value` differs from `old`.
template <class T>
void wait_for_change(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old);
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  GRANULE_CHECK(threads >= 1, "thread pool: {} threads, at least 1 is needed", threads);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  ++epoch_;
  epoch_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::take_tasks() {
  t_inside_task = true;
  for (std::int64_t i = next_.fetch_add(1); i < job_.tasks; i = next_.fetch_add(1)) {
    try {
      job_.call(job_.body, i);
    } catch (...) {
      const std::lock_guard lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }
  t_inside_task = false;
}

int ThreadPool::thread_index() {
  return t_thread_index;
}

void ThreadPool::work(int index) {
  t_thread_index = index;
  std::uint32_t seen = 0;
  while (true) {
    wait_for_change(epoch_, seen);
    seen = epoch_.load();
    if (stop_) return;
    // Announce first, look second. run_tasks closes first and looks second. So a worker that comes late
    // either sees the job closed or is waited for.
    ++active_;
    if (open_) take_tasks();
    if (--active_ == 0) active_.notify_one();
  }
}

void ThreadPool::run_tasks(const Job& job) {
  if (job.tasks <= 0) return;
  if (workers_.empty() || job.tasks == 1 || t_inside_task) {
    for (std::int64_t i = 0; i < job.tasks; ++i) job.call(job.body, i);
    return;
  }
  job_ = job;
  next_ = 0;
  open_ = true;
  ++epoch_;
  epoch_.notify_all();
  take_tasks();
  open_ = false;
  for (int busy = active_.load(); busy != 0; busy = active_.load()) wait_for_change(active_, busy);
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
  int cores = known ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency());
  // Part of a core is worth a thread, but threads beyond the quota would only wait for each other.
  if (const auto quota = cpu_quota()) cores = std::min(cores, static_cast<int>(std::ceil(*quota)));
  return std::max(1, cores);
}

}  // namespace granule
