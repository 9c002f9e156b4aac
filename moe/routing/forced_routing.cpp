#include "moe/routing/forced_routing.hpp"

#include <algorithm>

#include "core/transfer.hpp"
#include "moe/routing/selection.hpp"

namespace granule {
namespace {

/// The expert of choice j of token t is (t · K + j) mod E.
std::vector<std::int32_t> even_ids(std::int64_t tokens, std::int64_t k, std::int64_t experts) {
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < tokens * k; ++i) ids.push_back(static_cast<std::int32_t>(i % experts));
  return ids;
}

/// It is ⌊(j · N + t) / m⌋, so expert after expert gets m choices. Those of a token differ, because m ≤ N.
std::vector<std::int32_t> worst_ids(std::int64_t tokens, std::int64_t k, std::int64_t m) {
  std::vector<std::int32_t> ids;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < k; ++j) ids.push_back(static_cast<std::int32_t>((j * tokens + t) / m));
  }
  return ids;
}

/// The most choices of one expert in the worst case.
std::int64_t most_of_an_expert(const MoeConfig& moe, std::int64_t tokens) {
  if (moe.capacity_factor <= 0.0) return tokens;
  const std::int64_t experts = moe.n_routed_experts,
                     even = (tokens * moe.num_experts_per_tok + experts - 1) / experts;
  return std::clamp(expert_capacity(moe, tokens), even, tokens);
}

std::vector<std::int32_t> forced_ids(const MoeConfig& moe, std::int64_t tokens, Routing routing) {
  GRANULE_CHECK(routing != Routing::natural, "forced routing: nothing is forced");
  const std::int64_t k = moe.num_experts_per_tok;
  return routing == Routing::even ? even_ids(tokens, k, moe.n_routed_experts)
                                  : worst_ids(tokens, k, most_of_an_expert(moe, tokens));
}

std::vector<std::int64_t> count(const std::vector<std::int32_t>& ids, const MoeConfig& moe) {
  std::vector<std::int64_t> count_E(static_cast<std::size_t>(moe.n_routed_experts));
  for (const std::int32_t id : ids) ++count_E[static_cast<std::size_t>(id)];
  return count_E;
}

}  // namespace

std::vector<std::int64_t> rows_within_capacity(std::vector<std::int64_t> count_E, std::int64_t capacity) {
  for (std::int64_t& count : count_E) count = std::min(count, capacity);
  return count_E;
}

std::vector<std::int64_t> forced_rows(const MoeConfig& moe, std::int64_t tokens, Routing routing) {
  const std::int64_t capacity = moe.capacity_factor > 0.0 ? expert_capacity(moe, tokens) : tokens;
  return rows_within_capacity(count(forced_ids(moe, tokens, routing), moe), capacity);
}

Choice forced_choice(Context& context, const MoeConfig& moe, std::int64_t tokens, Routing routing) {
  const std::vector<std::int32_t> ids = forced_ids(moe, tokens, routing);
  Choice choice{Tensor::empty(context, {tokens, moe.num_experts_per_tok}, DType::i32), count(ids, moe)};
  write<std::int32_t>(ids, choice.id_NK);
  return choice;
}

}  // namespace granule
