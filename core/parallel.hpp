// The threads of a rank. One thread computes each task. Work is cut into tasks by its shape alone, or every
// element is computed in the same way whatever the cut. So the number of threads never changes a result.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace granule {

/// A fork-join pool whose waits spin briefly and then sleep. A fork costs well under a microsecond on a quiet
/// machine, and on a busy one the waits take no time from other programs.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);  ///< the caller is one of them; throws for threads < 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const { return static_cast<int>(workers_.size()) + 1; }
  /// The calling thread's place in its pool, from 0. It selects the thread's part of a scratch buffer; it
  /// must never select work.
  [[nodiscard]] static int thread_index();

  /// Runs body(i) once for every i in [0, tasks), in any order and on any thread, and returns when all are
  /// done. The first exception of a task is thrown again here. A call from inside a task runs in that task.
  template <class Body>
  void run(std::int64_t tasks, const Body& body) {
    run_tasks({&body, [](const void* self, std::int64_t i) { (*static_cast<const Body*>(self))(i); }, tasks});
  }

 private:
  struct Job {
    const void* body = nullptr;
    void (*call)(const void*, std::int64_t) = nullptr;
    std::int64_t tasks = 0;
  };
  void run_tasks(const Job& job);
  void take_tasks();
  void work(int index);

  std::vector<std::thread> workers_;
  Job job_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<bool> open_{false};  // tasks may be taken
  std::atomic<int> active_{0};     // workers that may be inside a task
  std::atomic<std::uint32_t> epoch_{0};
  std::atomic<bool> stop_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

/// Calls body(begin, end) over [0, n) in pieces of `grain`, of which the last may be shorter. Each piece is a
/// task.
template <class Body>
void parallel_chunks(ThreadPool& pool, std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= grain) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  pool.run((n + grain - 1) / grain, [&](std::int64_t i) {
    const std::int64_t begin = i * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

/// Cores that this process may use: those it is bound to, but no more than its CPU quota pays for.
[[nodiscard]] int available_cores();

}  // namespace granule
