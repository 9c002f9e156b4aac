#include "moe/ops/hash_experts.hpp"

#include <algorithm>

#include "core/random.hpp"

namespace granule {
namespace {

void hash_cpu(const HashExpertsArgs& args) {
  const std::int64_t experts = args.experts, k = args.id_NK.shape()[1];
  auto* id = args.id_NK.data<std::int32_t>();
  const auto* const token = args.token_N.data<const std::int32_t>();
  for (std::int64_t i = 0; i < args.token_N.numel(); ++i) {
    const RandomStream random(static_cast<std::uint64_t>(args.seed), static_cast<std::uint64_t>(token[i]));
    // Floyd's sampling draws k distinct numbers below `experts` with k draws.
    for (std::int64_t j = experts - k; j < experts; ++j, ++id) {
      const auto drawn = static_cast<std::int32_t>(
          random.below(static_cast<std::uint64_t>(j) + 1, static_cast<std::uint64_t>(j)));
      auto* const first = id - (j - (experts - k));
      *id = std::find(first, id, drawn) == id ? drawn : static_cast<std::int32_t>(j);
    }
  }
}

}  // namespace

constinit KernelSlot<HashExpertsArgs> hash_experts_kernel{"hash_experts", hash_cpu};

Tensor hash_experts(const Tensor& token_N, std::int64_t experts, std::int64_t k, std::int64_t seed) {
  GRANULE_CHECK(k >= 1 && k <= experts, "hash router: {} of {} experts", k, experts);
  Tensor id_NK = Tensor::empty(token_N.context(), {token_N.numel(), k}, DType::i32);
  hash_experts_kernel({token_N, experts, seed, id_NK});
  return id_NK;
}

}  // namespace granule
