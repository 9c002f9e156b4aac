#include "moe/ops/permute.hpp"

#include <algorithm>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;

namespace {

auto plain_routing(std::int64_t tokens, std::int64_t k, std::int64_t experts, const Ids& ids) {
  return plain([=](Context& context, DType) {
    return sort_by_expert(ids_of(context, {tokens, k}, ids), experts, Sent::some);
  });
}

}  // namespace

TEST_CASE("permute: dispatch and combine keep an operator's promises: mixed, one-hot, idle, dropped, none") {
  struct Case {
    std::string name;
    std::int64_t tokens, k, experts;
    Ids ids;
  };
  const std::vector<Case> cases{
      {"mixed", 4, 2, 3, {2, 0, 1, 2, 0, 1, 2, 1}}, {"all to one expert", 3, 1, 4, {2, 2, 2}},
      {"idle experts", 2, 2, 6, {5, 0, 0, 5}},      {"dropped copies", 4, 2, 3, {2, -1, -1, -1, 0, 1, -1, 2}},
      {"everything dropped", 2, 1, 2, {-1, -1}},    {"no token", 0, 2, 3, {}}};
  const std::int64_t d = 5;
  for (const Case& c : cases) {
    const auto routing = plain_routing(c.tokens, c.k, c.experts, c.ids);
    // Rows are sorted by expert. For equal experts, they keep the order of the tokens.
    std::vector<std::size_t> copies;
    for (std::size_t i = 0; i < c.ids.size(); ++i) {
      if (c.ids[i] >= 0) copies.push_back(i);
    }
    std::stable_sort(copies.begin(), copies.end(), [&](auto a, auto b) { return c.ids[a] < c.ids[b]; });
    check_op(
        {.name = "dispatch " + c.name, .bf16 = true}, Dispatch{},
        [&](const std::vector<Numbers>& in) {
          Numbers rows;
          for (const std::size_t copy : copies) {
            for (std::int64_t i = 0; i < d; ++i)
              rows.push_back(in[0][copy / std::size_t(c.k) * std::size_t(d) + std::size_t(i)]);
          }
          return rows;
        },
        variable({c.tokens, d}), routing);
    check_op(
        {.name = "combine " + c.name, .bf16 = true}, Combine{},
        [&](const std::vector<Numbers>& in) {
          Numbers y(std::size_t(c.tokens * d), 0.0);
          for (std::size_t row = 0; row < copies.size(); ++row) {
            for (std::int64_t i = 0; i < d; ++i) {
              y[copies[row] / std::size_t(c.k) * std::size_t(d) + std::size_t(i)] +=
                  in[1][copies[row]] * in[0][row * std::size_t(d) + std::size_t(i)];
            }
          }
          return y;
        },
        variable({std::ssize(copies), d}), wide_variable({c.tokens, c.k}), routing);
  }
}
