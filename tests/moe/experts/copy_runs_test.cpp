#include "moe/experts/copy_runs.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// 150 runs of 0, 1 and 2 rows, which is more than a launch on a device has. Their sources are in reverse
/// order, and rows between their destinations are left out.
std::vector<RowRun> many_runs() {
  std::vector<RowRun> runs;
  for (std::int64_t i = 0; i < 150; ++i) runs.push_back({2 * (149 - i), 3 * i, i % 3});
  return runs;
}
constexpr std::int64_t kFrom = 300, kTo = 450;

Numbers expected(const std::vector<RowRun>& runs, std::int64_t d, double beta, const Numbers& from,
                 Numbers to) {
  for (const RowRun& run : runs) {
    for (std::int64_t i = 0; i < run.rows * d; ++i) {
      double& element = to[static_cast<std::size_t>(run.to * d + i)];
      element = from[static_cast<std::size_t>(run.from * d + i)] + beta * element;
    }
  }
  return to;
}

}  // namespace

TEST_CASE("copy_runs: rows are copied or added, and no others are written") {
  TestContext context;
  const std::vector<RowRun> runs = many_runs();
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    for (const std::int64_t d : {1, 8, 12}) {
      for (const double beta : {0.0, 1.0}) {
        CAPTURE(name_of(dtype), d, beta);
        const Tensor from = tensor_of(context, {kFrom, d}, dtype, normal_values(kFrom * d, 1));
        const Fenced to(context, {kTo, d}, dtype, normal_values(kTo * d, 2));
        const Numbers sums = expected(runs, d, beta, values_of(from), values_of(to.tensor()));
        copy_runs(from, runs, {to.tensor(), beta});
        // A sum is rounded once.
        CHECK(values_of(to.tensor()) == values_of(tensor_of(context, {kTo, d}, dtype, sums)));
        CHECK(to.intact());
      }
    }
  }
}
