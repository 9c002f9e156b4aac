#include "core/gpu/vector.cuh"
#include "distributed/nccl/rank_order_sum.cuh"

namespace granule::gpu {
namespace {

/// A thread has one pack, or one element after the last whole pack.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) add_packs(std::int64_t packs, const T* own, const T* received,
                                                      std::int64_t stride, int rank, int ranks, T* sum) {
  const std::int64_t p = thread_index();
  if (p >= packs) return;
  const auto addend = [&](int of) {
    return of == rank ? load<kWidth>(own, p) : load<kWidth>(received + (of < rank ? of : of - 1) * stride, p);
  };
  Pack<T, kWidth> total = addend(0);
  for (int of = 1; of < ranks; ++of) {
    const Pack<T, kWidth> next = addend(of);
    for (int i = 0; i < kWidth; ++i) total.value[i] += next.value[i];
  }
  store(sum, p, total);
}

template <class T>
void add(cudaStream_t stream, std::int64_t count, const RankAddends& addends, std::byte* to) {
  const auto* const own = reinterpret_cast<const T*>(addends.own);
  const auto* const received = reinterpret_cast<const T*>(addends.received);
  auto* const sum = reinterpret_cast<T*>(to);
  const auto from = [&]<int kWidth>(std::int64_t begin, std::int64_t packs) {
    launch(stream, add_packs<T, kWidth>, one_thread_each(packs), packs, own + begin, received + begin,
           addends.stride, addends.rank, addends.ranks, sum + begin);
  };
  constexpr int kWidest = static_cast<int>(16 / sizeof(T));
  const bool wide = are_aligned(own, received, sum) && addends.stride % kWidest == 0;
  const std::int64_t in_packs = wide ? count / kWidest * kWidest : 0;
  from.template operator()<kWidest>(0, in_packs / kWidest);
  from.template operator()<1>(in_packs, count - in_packs);
}

}  // namespace

void sum_in_rank_order(cudaStream_t stream, DType dtype, std::int64_t count, const RankAddends& addends,
                       std::byte* sum) {
  switch (dtype) {
    case DType::f32:
      return add<float>(stream, count, addends, sum);
    case DType::f64:
      return add<double>(stream, count, addends, sum);
    case DType::i32:
      return add<std::int32_t>(stream, count, addends, sum);
    case DType::i64:
      return add<std::int64_t>(stream, count, addends, sum);
    default:
      GRANULE_ASSERT(false, "a sum of {}", name_of(dtype));
  }
}

}  // namespace granule::gpu
