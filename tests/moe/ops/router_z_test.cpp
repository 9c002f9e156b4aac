#include "moe/ops/router_z.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/router_inputs.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("router_z: it keeps an operator's promises, with padding and without") {
  for (const Ids& valid : {Ids{}, Ids{1, 0, 1}, Ids{0, 0, 0}}) {
    check_op(
        {fmt::format("router_z {}", fmt::join(valid, " "))}, RouterZ{},
        [&](const std::vector<Numbers>& in) {
          double sum = 0.0, tokens = 0.0;
          for (std::int64_t t = 0; t < 3; ++t) {
            if (!valid.empty() && valid[std::size_t(t)] == 0) continue;
            double exps = 0.0;
            for (std::int64_t e = 0; e < 4; ++e) exps += std::exp(in[0][std::size_t(t * 4 + e)]);
            sum += std::pow(std::log(exps), 2);
            tokens += 1.0;
          }
          return Numbers{tokens > 0.0 ? sum / tokens : 0.0};
        },
        variable({3, 4}, 2.0), plain_valid(valid));
  }
}

TEST_CASE("router_z: a case worked by hand") {
  // One token with logits (log 3, 0).
  //   exps 3 + 1, z = log 4, L = log² 4, dL/dl = 2 log 4 · (3/4, 1/4)
  TestContext context;
  const Tensor logits = tensor_of(context, {1, 2}, DType::f64, Numbers{std::log(3.0), 0.0});
  RouterZ::Saved saved;
  CHECK(values_of(RouterZ{}.forward(&saved, logits, {}))[0] == Approx(1.9218120556728056).epsilon(1e-15));
  const Tensor dl = logits.empty_like(logits.shape());
  RouterZ{}.backward(saved, tensor_of(context, {1}, DType::f64, Numbers{1.0}), {dl, 0.0});
  CHECK(values_of(dl)[0] == Approx(1.5 * std::log(4.0)).epsilon(1e-14));
  CHECK(values_of(dl)[1] == Approx(0.5 * std::log(4.0)).epsilon(1e-14));
}
