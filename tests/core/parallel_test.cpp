#include "core/parallel.hpp"

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using granule::parallel_chunks;
using granule::ThreadPool;

TEST_CASE("parallel: a thread pool runs every task exactly once, with 1 to 4 threads") {
  for (const int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (const std::int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
      // These are plain ints, so that a task that runs twice is a race.
      std::vector<int> runs(static_cast<std::size_t>(tasks), 0);
      pool.run(tasks, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      INFO(threads << " threads, " << tasks << " tasks");
      CHECK(std::all_of(runs.begin(), runs.end(), [](int n) { return n == 1; }));
    }
  }
}

TEST_CASE("parallel: a thread pool needs at least one thread") {
  CHECK_THROWS_AS(ThreadPool(0), granule::Error);
}

TEST_CASE("parallel: a thread pool's tasks see what was written before the run, and it what they wrote") {
  ThreadPool pool(3);
  std::vector<std::int64_t> in(64), out(64);
  std::int64_t total = 0;
  for (std::int64_t round = 0; round < 20000;
       // There are many short forks, so that late wake-ups meet the next fork.
       ++round) {
    in[static_cast<std::size_t>(round % 64)] = round;
    pool.run(5, [&](std::int64_t task) {
      for (auto i = static_cast<std::size_t>(task); i < 64; i += 5) out[i] = in[i] + 1;
    });
    total += out[static_cast<std::size_t>(round % 64)];
  }
  CHECK(total == 20000LL * 20001 / 2);
}

TEST_CASE("parallel: a thread pool works again after its threads fell asleep") {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> runs = 0;
    pool.run(8, [&](std::int64_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++runs;
    });
    CHECK(runs == 8);
  }
}

TEST_CASE("parallel: an exception of a task comes out of the run and the thread pool goes on") {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      const auto failing = [](std::int64_t i) {
        if (i == 5) throw std::runtime_error("task 5");
      };
      CHECK_THROWS_WITH(pool.run(20, failing), "task 5");
      std::atomic<int> runs = 0;
      pool.run(20, [&](std::int64_t) { ++runs; });
      CHECK(runs == 20);
    }
  }
}

TEST_CASE("parallel: a thread pool's run inside a task runs in that task") {
  ThreadPool pool(3);
  std::vector<std::vector<int>> runs(6, std::vector<int>(10, 0));
  pool.run(6, [&](std::int64_t i) {
    auto& mine = runs[static_cast<std::size_t>(i)];
    const auto caller = std::this_thread::get_id();
    pool.run(10, [&](std::int64_t j) {
      if (std::this_thread::get_id() == caller) ++mine[static_cast<std::size_t>(j)];
    });
  });
  for (const auto& mine : runs) CHECK(mine == std::vector<int>(10, 1));
}

TEST_CASE("parallel: a thread pool's tasks really run on several threads, each with an index of its own") {
  ThreadPool pool(3);
  std::array<std::atomic<int>, 3> seen{};
  std::atomic<int> arrived = 0;
  // Three tasks that wait for each other can only end if there are three threads.
  pool.run(3, [&](std::int64_t) {
    ++seen.at(static_cast<std::size_t>(ThreadPool::thread_index()));
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  for (const auto& count : seen) CHECK(count == 1);
}

TEST_CASE("parallel: two thread pools at once do not disturb each other") {
  const auto rank = [](std::int64_t seed, std::int64_t& sum) {
    ThreadPool pool(2);
    for (int round = 0; round < 2000; ++round) {
      std::array<std::int64_t, 4> parts{};
      pool.run(4, [&](std::int64_t i) { parts.at(static_cast<std::size_t>(i)) = seed * i; });
      sum += std::accumulate(parts.begin(), parts.end(), std::int64_t{0});
    }
  };
  std::int64_t a = 0, b = 0;
  std::thread other([&] { rank(1, a); });
  rank(10, b);
  other.join();
  CHECK(a == 2000 * 6);
  CHECK(b == 2000 * 60);
}

TEST_CASE("parallel: chunks of a thread pool cover the range once, cut by the grain alone") {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (const std::int64_t n : {0, 1, 9, 10, 11, 100, 101}) {
      std::vector<int> covered(static_cast<std::size_t>(n), 0);
      parallel_chunks(pool, n, 10, [&](std::int64_t begin, std::int64_t end) {
        CHECK_NOTHROW(begin % 10 == 0 && (end == n || end == begin + 10) ? void() : throw begin);
        for (std::int64_t i = begin; i < end; ++i) ++covered[static_cast<std::size_t>(i)];
      });
      CHECK(std::all_of(covered.begin(), covered.end(), [](int c) { return c == 1; }));
    }
  }
}

TEST_CASE("parallel: at least one core is available") {
  CHECK(granule::available_cores() >= 1);
}
