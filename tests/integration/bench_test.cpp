// What `granule bench` prints for programs to read. No test depends on how fast a machine is.
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using namespace granule::test;
using nlohmann::json;

TEST_CASE("bench step: both floors are the same work, at the best rate and at the sustained one") {
  const ProgramResult run = run_program({"bench", "step", source_dir() + "/configs/tiny.toml",
                                         "model.vocab_size=64", "data.seq_len=16", "train.batch_size=1",
                                         "train.micro_batch_size=1", "--steps", "3", "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const json result = json::parse(run.out);
  const auto number = [&](const char* key) { return result.at(key).get<double>(); };
  const double step = number("step_seconds"), floor = number("floor_seconds"),
               at_sustained = number("share_of_sustained") * step;
  CHECK(number("share_of_floor") == Approx(floor / step));
  // Only the time of the multiply-adds differs. It is the work divided by the rate.
  const double best = number("fma_ceiling_gflops"), sustained = number("sustained_gflops");
  const double work = (at_sustained - floor) / (1.0 / sustained - 1.0 / best);
  const double multiplied = work / best;
  CHECK(multiplied > 0.0);
  CHECK(multiplied < floor);
  // A busy machine may do a fraction of its best. An error in units would be a factor of a thousand.
  CHECK(sustained > 0.02 * best);
  CHECK(sustained < 50.0 * best);
}
