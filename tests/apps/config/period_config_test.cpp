
#include "apps/config/config_reader.hpp"
#include "apps/config/period.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"

using Catch::Contains;
using granule::ConfigEntry;
using granule::Period;
using granule::period_of;
using granule::RunLength;
using granule::steps_in;
using nlohmann::json;
using Unit = Period::Unit;

namespace {
Period read(const json& value) {
  return period_of(ConfigEntry{"train.steps", value, "run.toml:3", {}, {}});
}
constexpr RunLength kRun{
    .batch_size = 8, .tokens_per_step = 4096, .samples_per_epoch = 100, .total_steps = 1000};
}  // namespace

TEST_CASE("period_config: a period is read in steps, tokens, epochs or a fraction of the run") {
  CHECK(read(500) == Period{Unit::steps, 500});
  CHECK(read("500") == Period{Unit::steps, 500});
  CHECK(read(0.8) == Period{Unit::fraction, 0.8});
  CHECK(read("0.8") == Period{Unit::fraction, 0.8});
  CHECK(read("4096t") == Period{Unit::tokens, 4096});
  CHECK(read("2Kt") == Period{Unit::tokens, 2e3});
  CHECK(read("20Mt") == Period{Unit::tokens, 2e7});
  CHECK(read("1.5Bt") == Period{Unit::tokens, 1.5e9});
  CHECK(read("1.1Mt") == Period{Unit::tokens, 1.1e6});
  CHECK(read("2Tt") == Period{Unit::tokens, 2e12});
  CHECK(read("1e") == Period{Unit::epochs, 1});
  CHECK(read("0.5e") == Period{Unit::epochs, 0.5});
}

TEST_CASE("period_config: what is no period is refused with the forms that are") {
  for (const json& value : {json("fast"), json("20Mtt"), json("t"), json("e"), json(""), json(true),
                            json("1 e"), json(json::array()), json("0x10"), json("nant"), json("infe")}) {
    INFO(value.dump());
    CHECK_THROWS_WITH(read(value), Contains("train.steps") && Contains("run.toml:3"));
  }
  CHECK_THROWS_WITH(read(-1), Contains("out of range"));
  CHECK_THROWS_WITH(read("-1e"), Contains("out of range"));
  CHECK_THROWS_WITH(read(500.0), Contains("fraction of the run"));
  CHECK_THROWS_WITH(read(500.0), Contains("exponent: 500"));
  CHECK_THROWS_WITH(read("1_000"), Contains("written 1000"));
  CHECK_THROWS_WITH(read("0.3t"), Contains("whole number of tokens"));
  CHECK_THROWS_WITH(read(std::numeric_limits<double>::quiet_NaN()), Contains("out of range"));
  CHECK_THROWS_WITH(read(std::numeric_limits<std::int64_t>::max()), Contains("out of range"));
}

TEST_CASE("period_config: a period becomes the nearest number of steps, and at least one") {
  CHECK(steps_in({Unit::steps, 7}, kRun, "k") == 7);
  CHECK(steps_in({Unit::tokens, 4096 * 5}, kRun, "k") == 5);
  CHECK(steps_in({Unit::tokens, 4096 * 5 + 2049}, kRun, "k") == 6);
  CHECK(steps_in({Unit::tokens, 1}, kRun, "k") == 1);
  CHECK(steps_in({Unit::epochs, 1}, kRun, "k") == 13);  // 12.5 steps; the half is rounded up
  CHECK(steps_in({Unit::fraction, 0.8}, kRun, "k") == 800);
  CHECK(steps_in({Unit::fraction, 1e-9}, kRun, "k") == 1);
  CHECK(steps_in({Unit::fraction, 0.0}, kRun, "k") == 0);
  CHECK(steps_in({Unit::epochs, 0.0}, kRun, "k") == 0);
}

TEST_CASE("period_config: epochs without data and fractions without a run are refused by name") {
  RunLength run = kRun;
  run.samples_per_epoch = 0;
  CHECK_THROWS_WITH(steps_in({Unit::epochs, 1}, run, "eval.every"),
                    Contains("eval.every") && Contains("epochs"));
  run.total_steps = 0;
  CHECK_THROWS_WITH(steps_in({Unit::fraction, 0.5}, run, "train.steps"),
                    Contains("train.steps is a fraction"));
  run.samples_per_epoch = 1'000'000'000'000;
  CHECK_THROWS_WITH(steps_in({Unit::epochs, 1e9}, run, "train.steps"), Contains("1e15"));
}

TEST_CASE("period_config: a period is written in the form it is read from") {
  for (const json& value : {json(500), json(0.8), json("20Mt"), json("4096t"), json("1500Mt"), json("1e"),
                            json("0.5e"), json(0), json(0.0), json("2Tt"), json("1e")}) {
    CHECK(to_json(read(value)) == value);
    CHECK(read(to_json(read(value))) == read(value));
  }
}
