#include "moe/ops/hash_experts.hpp"

#include <algorithm>
#include <set>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;

TEST_CASE("hash_experts: a token id always has the same distinct experts, and the ids are spread") {
  TestContext context;
  const std::int64_t vocabulary = 4000, experts = 16, k = 3;
  Ids tokens(static_cast<std::size_t>(vocabulary));
  for (std::int64_t t = 0; t < vocabulary; ++t) tokens[std::size_t(t)] = static_cast<std::int32_t>(t);
  const auto once = integers_of(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 7));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts), 0);
  for (std::int64_t t = 0; t < vocabulary; ++t) {
    const std::set<std::int64_t> of_token(once.begin() + t * k, once.begin() + (t + 1) * k);
    REQUIRE(std::ssize(of_token) == k);
    for (const std::int64_t e : of_token) ++counts[std::size_t(e)];
  }
  // 750 are expected with a standard deviation of 25. The limit is five of them.
  for (const std::int64_t count : counts) CHECK(std::abs(count - 750) < 125);
  std::reverse(tokens.begin(), tokens.end());
  const auto again = integers_of(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 7));
  CHECK(std::equal(again.end() - k, again.end(), once.begin()));
  const auto other = integers_of(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 8));
  CHECK(other != again);
}
