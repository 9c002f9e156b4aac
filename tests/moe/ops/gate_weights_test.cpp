#include "moe/ops/gate_weights.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/router_inputs.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct GateCase {
  std::string name;
  std::int64_t tokens, experts, k;
  bool normalise;
  Ids ids;
  double factor = 1.0;
};

Numbers gated(const GateCase& c, const Numbers& s) {
  Numbers w;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    double sum = 0.0;
    for (std::int64_t j = 0; j < c.k; ++j)
      sum += s[std::size_t(t * c.experts + c.ids[std::size_t(t * c.k + j)])];
    const bool divide = c.normalise && c.k > 1;
    for (std::int64_t j = 0; j < c.k; ++j) {
      w.push_back(c.factor * s[std::size_t(t * c.experts + c.ids[std::size_t(t * c.k + j)])] /
                  (divide ? sum + 1e-20 : 1.0));
    }
  }
  return w;
}

}  // namespace

TEST_CASE("gate_weights: it keeps an operator's promises, normalised or not") {
  const std::vector<GateCase> cases{{"plain top-2", 3, 4, 2, false, {0, 3, 2, 1, 3, 0}},
                                    {"normalised top-3", 2, 5, 3, true, {4, 0, 2, 1, 2, 3}},
                                    {"all experts, normalised", 2, 2, 2, true, {1, 0, 0, 1}},
                                    {"top-1, where normalising has no effect", 3, 4, 1, true, {2, 0, 2}},
                                    {"no token", 0, 4, 2, true, {}},
                                    {"one expert", 2, 1, 1, false, {0, 0}},
                                    {"scaled", 2, 3, 2, false, {0, 2, 2, 1}, 16.0},
                                    {"normalised, then scaled", 2, 3, 2, true, {0, 2, 2, 1}, 2.5}};
  for (const GateCase& c : cases) {
    check_op(
        {"gate_weights " + c.name}, GateWeights{c.normalise, c.factor},
        [&](const std::vector<Numbers>& in) { return gated(c, in[0]); },
        variable({c.tokens, c.experts}, probabilities(c.tokens * c.experts, 5)),
        plain_ids({c.tokens, c.k}, c.ids));
  }
}
