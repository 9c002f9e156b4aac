#include "core/kernels/ceiling.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/ceiling.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/allocator.hpp"
#include "core/error.hpp"
#include "core/kernels/gemm_bf16_units.hpp"
#include "core/kernels/instruction_set.hpp"
#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

/// The chains are parameters and not an array, because vectors of some instruction sets have no known size.
template <class D, class V, class T, class... Chain>
HWY_INLINE void run_chains(D d, std::int64_t rounds, V factor, V term, T* values, Chain... chain) {
  for (std::int64_t r = 0; r < rounds; ++r) ((chain = hn::MulAdd(chain, factor, term)), ...);
  std::int64_t at = 0;
  ((hn::StoreU(chain, d, values + at), at += lanes(d)), ...);
}

template <class D, class T, std::size_t... I>
HWY_INLINE void load_and_run(D d, std::int64_t rounds, T factor, T term, T* values,
                             std::index_sequence<I...>) {
  run_chains(d, rounds, hn::Set(d, factor), hn::Set(d, term), values,
             hn::LoadU(d, values + static_cast<std::int64_t>(I) * lanes(d))...);
}

template <std::size_t kChains, class T>
void advance(std::int64_t rounds, T factor, T term, T* values) {
  load_and_run(hn::ScalableTag<T>(), rounds, factor, term, values, std::make_index_sequence<kChains>());
}

template <class T>
void advance_chains(std::int64_t rounds, std::int64_t chains, T factor, T term, T* values) {
  with_chains(chains, [&]<std::size_t kChains>() { advance<kChains>(rounds, factor, term, values); });
}
void advance_f32(std::int64_t rounds, std::int64_t chains, float factor, float term, float* values) {
  advance_chains(rounds, chains, factor, term, values);
}
void advance_f64(std::int64_t rounds, std::int64_t chains, double factor, double term, double* values) {
  advance_chains(rounds, chains, factor, term, values);
}

std::int64_t lanes_f32() {
  return lanes(hn::ScalableTag<float>());
}

// A core that passes over one place of an array gets less than memory gives: on a Zen 5, four fifths of it.
// So arrays are cut into so many parts. Their lengths are multiples of all vectors that are added at once.
constexpr std::int64_t kPlaces = 4;

void scale_in_place(float* values, std::int64_t n) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 1.0001F);
  const std::int64_t part = n / kPlaces;
  for (std::int64_t i = 0; i + lanes(d) <= part; i += lanes(d)) {
    for (std::int64_t place = 0; place < kPlaces; ++place) {
      float* const at = values + place * part + i;
      hn::StoreU(hn::Mul(hn::LoadU(d, at), factor), d, at);
    }
  }
}

/// Adds up as many vectors at a time as there are sums, an equal number at each place.
template <class D, class... Sum>
HWY_INLINE float add_side_by_side(D d, const float* values, std::int64_t n, Sum... sum) {
  constexpr std::int64_t kSums = sizeof...(Sum), kAtOnce = kSums / kPlaces;
  const std::int64_t part = n / kPlaces;
  for (std::int64_t i = 0; i + kAtOnce * lanes(d) <= part; i += kAtOnce * lanes(d)) {
    std::int64_t k = 0;
    ((sum = hn::Add(sum, hn::LoadU(d, values + k % kPlaces * part + i + k / kPlaces * lanes(d))), ++k), ...);
  }
  auto all = hn::Zero(d);
  ((all = hn::Add(all, sum)), ...);
  return hn::GetLane(hn::SumOfLanes(d, all));
}
template <class D, std::size_t... I>
HWY_INLINE float sum_with(D d, const float* values, std::int64_t n, std::index_sequence<I...>) {
  return add_side_by_side(d, values, n, (static_cast<void>(I), hn::Zero(d))...);
}
/// Sixteen vectors at a time: with fewer, one core waits for memory more often.
float sum_of(const float* values, std::int64_t n) {
  return sum_with(hn::ScalableTag<float>(), values, n, std::make_index_sequence<16>());
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(advance_f32);
HWY_EXPORT(advance_f64);
HWY_EXPORT(lanes_f32);
HWY_EXPORT(scale_in_place);
HWY_EXPORT(sum_of);

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The work that all threads together do in a second, in several equal pieces for about `seconds`.
/// `piece(thread)` returns the work it did.
///
/// Threads must share nothing but the clock. A thread that is put aside after the start runs alone later, and
/// its own time is that of a thread that has the machine to itself.
template <class Piece>
RateOfPieces rate_of(ThreadPool& pool, double seconds, const Piece& piece) {
  const auto threads = static_cast<std::size_t>(pool.size());
  std::vector<double> work(threads), took(threads);
  double best = 0.0, all_work = 0.0, all_seconds = 0.0;
  const double until = now() + seconds;
  do {
    std::atomic<int> arrived{0};
    pool.run(pool.size(), [&](std::int64_t i) {
      // A piece counts only from the moment when every thread is there. Otherwise a thread that wakes late
      // would find its piece done by another, and the machine would seem to have a core less.
      ++arrived;
      while (arrived < pool.size()) std::this_thread::yield();
      const double start = now();
      work[static_cast<std::size_t>(i)] = piece(i);
      took[static_cast<std::size_t>(i)] = now() - start;
    });
    const double done = std::reduce(work.begin(), work.end());
    best = std::max(best, done / *std::ranges::max_element(took));
    all_work += done;
    all_seconds += std::reduce(took.begin(), took.end()) / static_cast<double>(threads);
  } while (now() < until);
  return {best, all_work / all_seconds};
}

/// The rate at which all threads together pass over a large array of ones, in 10⁹ bytes a second.
/// `work(values, n)` passes over a part of it.
template <class Work>
double passes_gbps(ThreadPool& pool, double seconds, const Work& work) {
  constexpr std::int64_t kElements = std::int64_t{1} << 26;  // 256 MiB: beyond any cache
  constexpr std::int64_t kPart = std::int64_t{1} << 18;
  // On some virtual machines the first passes over new memory take thirty times as long as the later ones.
  constexpr int kLeastPasses = 8;
  // Tensors are allocated so too. Vectors that cross a line of the cache, and small pages, would be slower.
  constexpr std::int64_t kBytes = kElements * sizeof(float);
  HostHeap heap;
  const std::unique_ptr<float, std::function<void(float*)>> values(
      reinterpret_cast<float*>(heap.allocate(kBytes)),
      [&heap](float* memory) { heap.release(reinterpret_cast<std::byte*>(memory), kBytes); });
  std::fill_n(values.get(), kElements, 1.0F);
  double best = 0.0;
  const double until = now() + seconds;
  for (int pass = 0; pass < kLeastPasses || now() < until; ++pass) {
    // The memory bus is shared. So what counts is the time of all parts together, and a free thread takes the
    // next.
    const double start = now();
    pool.run(kElements / kPart, [&](std::int64_t i) { work(values.get() + i * kPart, kPart); });
    best = std::max(best, static_cast<double>(kBytes) / (now() - start));
  }
  return 1e-9 * best;
}

}  // namespace

std::int64_t vector_lanes(DType dtype) {
  if (dtype == DType::bf16 && bf16_units() != Bf16Units::none) {
    const Bf16Chain chain = bf16_chain(bf16_units());
    return chain.sums * chain.products;
  }
  const std::int64_t bytes = HWY_DYNAMIC_DISPATCH(lanes_f32)() * size_of(DType::f32);
  return bytes / size_of(dtype);
}

template <class T>
double multiply_add_chains(std::int64_t rounds, std::int64_t chains, T factor, T term, std::span<T> values) {
  const std::int64_t lanes = vector_lanes(dtype_of<T>);
  GRANULE_CHECK(std::ranges::find(kFmaChains, chains) != kFmaChains.end(), "{} chains are not offered",
                chains);
  GRANULE_CHECK(std::ssize(values) == chains * lanes, "{} values for {} chains of {} lanes", values.size(),
                chains, lanes);
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(advance_f32)(rounds, chains, factor, term, values.data());
  } else {
    HWY_DYNAMIC_DISPATCH(advance_f64)(rounds, chains, factor, term, values.data());
  }
  return 2.0 * static_cast<double>(rounds) * static_cast<double>(chains * lanes);
}
template double multiply_add_chains(std::int64_t, std::int64_t, float, float, std::span<float>);
template double multiply_add_chains(std::int64_t, std::int64_t, double, double, std::span<double>);

namespace {

// About a millisecond, so it often runs between the work of other programs.
constexpr std::int64_t kRounds = 1'000'000;

RateOfPieces bf16_rate(ThreadPool& pool, std::int64_t chains, double seconds) {
  const Bf16Units units = bf16_units();
  const Bf16Chain chain = bf16_chain(units);
  const auto length = static_cast<std::size_t>(chains * chain.sums);
  // An instruction that sums more products takes more cycles.
  const std::int64_t rounds = 2 * kRounds / chain.products;
  return rate_of(pool, seconds, [&](std::int64_t) {
    std::vector<float> values(length);
    for (std::size_t i = 0; i < length; ++i) values[i] = 1.0F / static_cast<float>(i + 2);
    const double work = bf16_chains(units, rounds, chains, bf16(0.001F), bf16(1.0F), values);
    asm volatile("" : : "r"(values.data()) : "memory");
    return work;
  });
}

}  // namespace

double bf16_chains(Bf16Units units, std::int64_t rounds, std::int64_t chains, bf16 factor, bf16 term,
                   std::span<float> values) {
  const Bf16Chain chain = bf16_chain(units);
  GRANULE_CHECK(std::ssize(values) == chains * chain.sums, "{} values for {} chains", values.size(), chains);
  advance_bf16(units, rounds, chains, factor, term, values.data());
  return 2.0 * static_cast<double>(rounds) * static_cast<double>(std::ssize(values) * chain.products);
}

RateOfPieces fma_rate(ThreadPool& pool, DType dtype, std::int64_t chains, double seconds) {
  if (dtype == DType::bf16)
    return bf16_units() == Bf16Units::none ? fma_rate(pool, DType::f32, chains, seconds)
                                           : bf16_rate(pool, chains, seconds);
  return dispatch_float(dtype, [&]<class T>() {
    const auto length = static_cast<std::size_t>(chains * vector_lanes(dtype));
    return rate_of(pool, seconds, [&](std::int64_t) {
      // Every lane begins with another value, and the values are used. The compiler computes equal
      // chains once, and unused chains never, but their operations would be counted all the same.
      std::vector<T> values(length);
      for (std::size_t i = 0; i < length; ++i) values[i] = T(1) / static_cast<T>(i + 2);
      const double work = multiply_add_chains(kRounds, chains, T(0.999), T(0.001), std::span<T>(values));
      asm volatile("" : : "r"(values.data()) : "memory");
      return work;
    });
  });
}

double fma_ceiling_gflops(ThreadPool& pool, DType dtype, double seconds) {
  return 1e-9 * fma_rate(pool, dtype, kFmaChains.back(), seconds).best;
}

double clock_ghz(ThreadPool& pool, double seconds) {
  constexpr std::int64_t kAdditions = 4'000'000;
  const RateOfPieces additions = rate_of(pool, seconds, [](std::int64_t) {
    std::int64_t sum = 1;
    std::int64_t step = 3;
    asm volatile("" : "+r"(step));
    for (std::int64_t i = 0; i < kAdditions / 16; ++i) {
#pragma GCC unroll 16
      for (int k = 0; k < 16; ++k) {
        sum += step;
        // Otherwise the compiler replaces sixteen additions by one multiplication.
        asm volatile("" : "+r"(sum));
      }
    }
    return static_cast<double>(kAdditions);
  });
  return 1e-9 * additions.best / pool.size();
}

double stream_gbps(ThreadPool& pool, double seconds) {
  return 2.0 * passes_gbps(pool, seconds, [](float* values, std::int64_t n) {
           HWY_DYNAMIC_DISPATCH(scale_in_place)(values, n);
         });
}

double read_gbps(ThreadPool& pool, double seconds) {
  std::atomic<int> wrong{0};
  const double rate = passes_gbps(pool, seconds, [&](const float* values, std::int64_t n) {
    if (HWY_DYNAMIC_DISPATCH(sum_of)(values, n) != static_cast<float>(n)) ++wrong;
  });
  GRANULE_ASSERT(wrong == 0, "a sum of ones");
  return rate;
}

}  // namespace granule
#endif
