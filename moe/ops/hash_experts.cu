#include "core/gpu/runtime.cuh"
#include "moe/ops/hash_experts.hpp"

namespace granule {
namespace {

/// Philox 4x32-10 as in core/random.hpp: the first 64 bits of number `index` of a stream.
__device__ std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  constexpr std::uint32_t kMultiplier[2] = {0xD2511F53U, 0xCD9E8D57U}, kWeyl[2] = {0x9E3779B9U, 0xBB67AE85U};
  std::uint32_t c[4] = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32U),
                        static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32U)};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{kMultiplier[0]} * c[0], b = std::uint64_t{kMultiplier[1]} * c[2];
    const std::uint32_t next[4] = {
        static_cast<std::uint32_t>(b >> 32U) ^ c[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32U) ^ c[3] ^ key[1], static_cast<std::uint32_t>(a)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    key[0] += kWeyl[0];
    key[1] += kWeyl[1];
  }
  return c[0] | std::uint64_t{c[1]} << 32U;
}

/// Floyd's sampling, with one thread for each token: k distinct numbers below `experts` with k draws.
__global__ void __launch_bounds__(gpu::kThreads)
    hash_tokens(const std::int32_t* __restrict__ token, std::int64_t N, std::int64_t experts, std::int64_t K,
                std::uint64_t seed, std::int32_t* __restrict__ ids) {
  const std::int64_t i = gpu::thread_index();
  if (i >= N) return;
  std::int32_t* const id = ids + i * K;
  for (std::int64_t n = 0; n < K; ++n) {
    const std::uint64_t j = static_cast<std::uint64_t>(experts - K + n);
    const auto drawn = static_cast<std::int32_t>(__umul64hi(
        random_bits(seed, static_cast<std::uint64_t>(static_cast<std::int64_t>(token[i])), j), j + 1));
    bool taken = false;
    for (std::int64_t before = 0; before < n; ++before) taken = taken || id[before] == drawn;
    id[n] = taken ? static_cast<std::int32_t>(j) : drawn;
  }
}

void hash_cuda(const HashExpertsArgs& args) {
  gpu::launch(gpu::stream_of(args.id_NK), hash_tokens, gpu::one_thread_each(args.token_N.numel()),
              args.token_N.data<const std::int32_t>(), args.token_N.numel(), args.experts,
              args.id_NK.shape()[1], args.seed, args.id_NK.data<std::int32_t>());
}

const gpu::Kernels kernels([] {
  hash_experts_kernel.fill(DeviceType::cuda, hash_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
