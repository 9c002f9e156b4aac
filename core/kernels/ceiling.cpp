#include "core/kernels/ceiling.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/ceiling.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// `rounds` of 12 independent chains: more than latency × ports of any CPU we know. Returns the operations
/// done.
template <class T>
double multiply_add(std::int64_t rounds, T* sink) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, static_cast<T>(0.999)), term = hn::Set(d, static_cast<T>(0.001));
  auto a = term, b = term, c = term, e = term, f = term, g = term, h = term, i = term, j = term, k = term,
       l = term, m = term;
  for (std::int64_t r = 0; r < rounds; ++r) {
    a = hn::MulAdd(a, factor, term), b = hn::MulAdd(b, factor, term), c = hn::MulAdd(c, factor, term);
    e = hn::MulAdd(e, factor, term), f = hn::MulAdd(f, factor, term), g = hn::MulAdd(g, factor, term);
    h = hn::MulAdd(h, factor, term), i = hn::MulAdd(i, factor, term), j = hn::MulAdd(j, factor, term);
    k = hn::MulAdd(k, factor, term), l = hn::MulAdd(l, factor, term), m = hn::MulAdd(m, factor, term);
  }
  const auto sum =
      hn::Add(hn::Add(hn::Add(hn::Add(a, b), hn::Add(c, e)), hn::Add(hn::Add(f, g), hn::Add(h, i))),
              hn::Add(hn::Add(j, k), hn::Add(l, m)));
  *sink = hn::GetLane(hn::SumOfLanes(d, sum));
  return static_cast<double>(rounds) * 12.0 * 2.0 * static_cast<double>(lanes(d));
}
double multiply_add_f32(std::int64_t rounds, float* sink) {
  return multiply_add(rounds, sink);
}
double multiply_add_f64(std::int64_t rounds, double* sink) {
  return multiply_add(rounds, sink);
}

void scale_in_place(float* values, std::int64_t n) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 1.0001F);
  for (std::int64_t i = 0; i + lanes(d) <= n; i += lanes(d)) {
    hn::StoreU(hn::Mul(hn::LoadU(d, values + i), factor), d, values + i);
  }
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(multiply_add_f32);
HWY_EXPORT(multiply_add_f64);
HWY_EXPORT(scale_in_place);

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Work done per second, best of pieces of equal work: noise only ever slows a piece down.
template <class Piece>
double best_rate(double seconds, const Piece& piece) {
  double best = 0.0;
  const double until = now() + seconds;
  do {
    const double start = now(), work = piece();
    best = std::max(best, work / (now() - start));
  } while (now() < until);
  return best;
}

template <class T>
double multiply_add(std::int64_t rounds) {
  T sink{};
  double done = 0.0;
  if constexpr (std::is_same_v<T, float>) {
    done = HWY_DYNAMIC_DISPATCH(multiply_add_f32)(rounds, &sink);
  } else {
    done = HWY_DYNAMIC_DISPATCH(multiply_add_f64)(rounds, &sink);
  }
  asm volatile("" : : "r"(&sink) : "memory");  // the sum is used, as far as the compiler knows
  return done;
}

}  // namespace

double fma_ceiling_gflops(ThreadPool& pool, DType dtype, double seconds) {
  constexpr std::int64_t kRounds = 1'000'000;  // about a millisecond: it often falls between others' work
  return dispatch_float(dtype, [&]<class T>() {
    const auto threads = static_cast<std::size_t>(pool.size());
    std::vector<double> work(threads), took(threads);
    double best = 0.0;
    const double until = now() + seconds;
    do {
      std::atomic<int> arrived{0};
      pool.run(pool.size(), [&](std::int64_t i) {
        // A piece counts only from when every thread is there: one that wakes late would otherwise find its
        // piece done by another, and the machine would seem to have a core less.
        ++arrived;
        while (arrived < pool.size()) std::this_thread::yield();
        const double start = now();
        work[static_cast<std::size_t>(i)] = multiply_add<T>(kRounds);
        took[static_cast<std::size_t>(i)] = now() - start;
      });
      best = std::max(best, std::reduce(work.begin(), work.end()) / *std::ranges::max_element(took));
    } while (now() < until);
    return best / 1e9;
  });
}

double stream_gbps(ThreadPool& pool, double seconds) {
  constexpr std::int64_t kElements = std::int64_t{1} << 26;  // 256 MiB: beyond any cache
  std::vector<float> values(static_cast<std::size_t>(kElements), 1.0F);
  return best_rate(seconds,
                   [&] {
                     parallel_chunks(pool, kElements, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
                       HWY_DYNAMIC_DISPATCH(scale_in_place)(values.data() + begin, end - begin);
                     });
                     return 2.0 * static_cast<double>(kElements) * sizeof(float);
                   }) /
         1e9;
}

}  // namespace granule
#endif
