#include <numeric>

#include "core/gpu/math.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "optim/adamw.hpp"

namespace granule {
namespace {

using gpu::Pack;

constexpr int kRanges = 64;  // of one launch: the table is an argument, and arguments have at most 4 KiB

struct DecayTable {
  int ranges = 0;
  std::int64_t end[kRanges] = {};
  std::uint64_t decays = 0;  // a bit for each range
};

/// AdamWStep in the type that is computed in.
template <class T>
struct Step {
  T gradient_scale, beta1, beta2, keep, rate, root_scale, eps;
  explicit Step(const AdamWStep& step)
      : gradient_scale(static_cast<T>(step.gradient_scale)),
        beta1(static_cast<T>(step.beta1)),
        beta2(static_cast<T>(step.beta2)),
        keep(static_cast<T>(step.keep)),
        rate(static_cast<T>(step.rate)),
        root_scale(static_cast<T>(step.root_scale)),
        eps(static_cast<T>(step.eps)),
        rest1(static_cast<T>(1.0 - step.beta1)),
        rest2(static_cast<T>(1.0 - step.beta2)) {}
  T rest1, rest2;
};

/// If w are masters, values in V are made of them. Otherwise V is T.
template <class T, class V>
struct Arrays {
  T *w, *m, *v;
  const T* g;
  V* rounded;
};

/// A thread has one pack of elements [begin, end).
template <class T, class V, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    update(Arrays<T, V> a, std::int64_t begin, std::int64_t end, DecayTable table, Step<T> step) {
  const std::int64_t first = begin + gpu::thread_index() * kWidth;
  if (first >= end) return;
  int range = 0;
  while (table.end[range] <= first) ++range;
  Pack<T, kWidth> w = gpu::load<kWidth>(a.w + first, 0), m = gpu::load<kWidth>(a.m + first, 0),
                  v = gpu::load<kWidth>(a.v + first, 0);
  const Pack<T, kWidth> g = gpu::load<kWidth>(a.g + first, 0);
  for (int i = 0; i < kWidth; ++i) {
    while (table.end[range] <= first + i) ++range;
    const T keep = (table.decays >> static_cast<unsigned>(range) & 1U) != 0 ? step.keep : T(1);
    const T slope = g.value[i] * step.gradient_scale;
    m.value[i] = m.value[i] * step.beta1 + slope * step.rest1;
    v.value[i] = v.value[i] * step.beta2 + slope * slope * step.rest2;
    const T root = gpu::sqrt_of(v.value[i]) * step.root_scale + step.eps;
    w.value[i] = w.value[i] * keep - m.value[i] * step.rate / root;
  }
  gpu::store(a.w + first, 0, w);
  gpu::store(a.m + first, 0, m);
  gpu::store(a.v + first, 0, v);
  if constexpr (!std::is_same_v<V, T>) gpu::store_rounded(a.rounded + first, 0, w);
}

template <class T, class V>
void update_table(const AdamWArgs& args, std::int64_t begin, const DecayTable& table) {
  const std::int64_t end = table.end[table.ranges - 1];
  const Arrays<T, V> all{args.w.data<T>(), args.m.data<T>(), args.v.data<T>(), args.g.data<const T>(),
                         args.rounded.defined() ? args.rounded.data<V>() : nullptr};
  const auto launch = [&]<int kWidth>() {
    gpu::launch(gpu::stream_of(args.w), update<T, V, kWidth>, gpu::one_thread_each((end - begin) / kWidth),
                all, begin, end, table, Step<T>(args.step));
  };
  const std::int64_t unit = std::gcd(begin, end);  // packs must begin and end where this part does
  gpu::dispatch_width<V>(unit, launch, all.w, all.m, all.v, all.g, all.rounded);
}

template <class T, class V>
void update_all(const AdamWArgs& args) {
  DecayTable table;
  std::int64_t begin = 0;
  for (const DecayRange& range : args.ranges) {
    if (range.decay == Decay::yes) table.decays |= std::uint64_t{1} << static_cast<unsigned>(table.ranges);
    table.end[table.ranges++] = range.end;
    if (table.ranges < kRanges) continue;
    update_table<T, V>(args, begin, table);
    begin = range.end;
    table = {};
  }
  if (table.ranges > 0) update_table<T, V>(args, begin, table);
}

void adamw_cuda(const AdamWArgs& args) {
  if (args.rounded.defined()) return update_all<float, bf16>(args);
  dispatch_float(args.w.dtype(), [&]<class T>() { update_all<T, T>(args); });
}

const gpu::Kernels kernels([] {
  adamw_kernel.fill(DeviceType::cuda, adamw_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
