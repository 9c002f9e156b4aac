// What a run records besides its steps: means, pace, jumps of the learning rate, provenance.
#include <cmath>

#include <nlohmann/json.hpp>

#include "apps/records/pace.hpp"
#include "apps/records/step_means.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/training/learning_rate_notes.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using granule::test::TempDir;
using granule::test::write_text;
using namespace std::chrono_literals;

namespace {

StepReport report_of(std::int64_t step, double ce, double seconds) {
  StepReport report{.step = step, .lr = 1e-3, .grad_norm = 10.0 * ce, .seconds = seconds};
  report.losses.ce = ce;
  report.losses.aux_by_layer = {ce / 2};
  report.losses.device_aux_by_layer = {0.0};
  report.losses.z_by_layer = {ce};
  report.routers.resize(1);
  report.tokens_per_second = 100.0 / seconds;
  report.mfu = 0.1 / seconds;
  return report;
}

nlohmann::ordered_json row_of(StepMeans& means, const StepReport& report) {
  auto row = metrics_row(report);
  means.put_into(row);
  return row;
}

RunConfig run_of(std::int64_t steps, ScheduleKind kind, double min_lr) {
  RunConfig config;
  config.optim.lr = 3e-3;
  config.data.seq_len = 8;
  config.schedule.kind = kind;
  config.schedule.min_lr = min_lr;
  if (kind == ScheduleKind::wsd) config.schedule.decay_at = {{Period::Unit::fraction, 0.8}};
  config.train.steps = {Period::Unit::steps, static_cast<double>(steps)};
  return config;
}

}  // namespace

TEST_CASE(
    "run_records: a row says the means of the steps since the last one, and the step's own values beside "
    "them") {
  StepMeans means;
  means.add(report_of(1, 4.0, 0.5));
  const auto one = row_of(means, report_of(1, 4.0, 0.5));
  CHECK(one["ce"] == 4.0);
  CHECK(one["ce_step"] == 4.0);
  CHECK(one["mean_of_steps"] == 1);
  CHECK(one["tokens_per_second"] == 200.0);
  means.add(report_of(2, 3.0, 1.0));
  means.add(report_of(3, 2.0, 0.5));
  means.add(report_of(4, 1.0, 0.25));
  means = StepMeans(means.saved());  // a checkpoint between two rows
  means.add(report_of(5, 1.0, 0.25));
  const auto row = row_of(means, report_of(5, 1.0, 0.25));
  CHECK(row["mean_of_steps"] == 4);
  CHECK(row["ce"] == 1.75);
  CHECK(row["ce_step"] == 1.0);
  CHECK(row["aux"] == 0.875);
  CHECK(row["aux_step"] == 0.5);
  CHECK(row["grad_norm"] == 17.5);
  CHECK(row["z"] == 1.75);
  CHECK(row["step_seconds"] == 0.5);
  CHECK(row["tokens_per_second"] == 200.0);
  CHECK(row["mfu"] == Approx(0.2));
  CHECK(row["aux_by_layer"][0] == 0.5);  // lists with a value for each layer are those of the step
}

TEST_CASE("run_records: a skipped step has a row of its own values and is in no mean") {
  StepMeans means;
  means.add(report_of(1, 4.0, 0.5));
  StepReport skipped = report_of(2, std::nan(""), 0.5);
  skipped.verdict = StepVerdict::non_finite;
  means.add(skipped);
  const auto row = row_of(means, skipped);
  CHECK(row["ce"].is_null());
  CHECK(row["ce_step"].is_null());
  CHECK(row["mean_of_steps"] == 1);
  means.add(report_of(3, 2.0, 0.5));
  CHECK(row_of(means, report_of(3, 2.0, 0.5))["ce"] == 3.0);
}

TEST_CASE("run_records: a dense model has no balance losses to take the mean of") {
  StepMeans means;
  StepReport dense = report_of(1, 4.0, 0.5);
  dense.losses.aux_by_layer = dense.losses.device_aux_by_layer = dense.losses.z_by_layer = {};
  dense.routers.clear();
  means.add(dense);
  means.add(dense);
  const auto row = row_of(means, dense);
  CHECK(row["ce"] == 4.0);
  CHECK(row["aux"].is_null());
  CHECK(row["aux_step"].is_null());
}

TEST_CASE("run_records: the pace of a run is that of its last steps") {
  const Pace::Clock::time_point start{};
  Pace pace(start);
  CHECK_FALSE(pace.mean_ce());
  CHECK_FALSE(pace.seconds_left(10));
  for (int step = 1; step <= 100; ++step) pace.add(step, start + step * 2s);
  pace.add(std::nan(""), start + 202s);
  CHECK(pace.mean_ce() == 75.5);
  CHECK(pace.seconds_left(10) == Approx(20.0));
  CHECK(pace.seconds_left(0) == 0.0);
  CHECK(duration_text(0.4) == "0 s");
  CHECK(duration_text(59.6) == "1 min 00 s");
  CHECK(duration_text(185) == "3 min 05 s");
  CHECK(duration_text(7620) == "2 h 07 min");
  CHECK(duration_text(5 * 86400 + 3 * 3600) == "5 d 3 h");
}

TEST_CASE("run_records: a learning rate that jumps when a run is made longer is said with both rates") {
  const RunConfig cosine = run_of(20, ScheduleKind::cosine, 3e-5);
  CHECK(
      learning_rate_jump(cosine, run_of(40, ScheduleKind::cosine, 3e-5), 20, 100) ==
      "the learning rate of step 21 is 1.40e-03, that of step 20 was 3.00e-05: the schedule is that of a run "
      "of 40 steps, and was that of a run of 20 before");
  const RunConfig wsd = run_of(20, ScheduleKind::wsd, 0.0);
  CHECK(learning_rate_jump(wsd, run_of(40, ScheduleKind::wsd, 0.0), 20, 100)
            .value()
            .find("of step 21 is 3.00e-03, that of step 20 was 0.00e+00") != std::string::npos);
  RunConfig warm = run_of(20, ScheduleKind::constant, 0.0);
  warm.schedule.warmup = {Period::Unit::fraction, 0.25};
  RunConfig longer = warm;
  longer.train.steps.amount = 400;
  CHECK(learning_rate_jump(warm, longer, 20, 100)
            .value()
            .find("of step 21 is 6.30e-04, that of step 20 was "
                  "3.00e-03") != std::string::npos);
  CHECK_FALSE(learning_rate_jump(warm, warm, 10, 100));
  CHECK_FALSE(learning_rate_jump(cosine, cosine, 19, 100));
  const RunConfig constant = run_of(20, ScheduleKind::constant, 0.0);
  CHECK_FALSE(learning_rate_jump(constant, run_of(40, ScheduleKind::constant, 0.0), 20, 100));
  CHECK_FALSE(learning_rate_jump(constant, cosine, 0, 100));
  CHECK(learning_rate_jump(constant, cosine, 10, 100).value().find("the schedule has changed") !=
        std::string::npos);
}

TEST_CASE("run_records: a decay that would begin after the run is told") {
  RunConfig config = run_of(20, ScheduleKind::wsd, 0.0);
  CHECK_FALSE(decay_after_the_run(resolve_steps(config, 100)));
  config.schedule.decay_at = {{Period::Unit::steps, 20}};
  CHECK_FALSE(decay_after_the_run(resolve_steps(config, 100)));  // a stable run
  config.schedule.decay_at = {{Period::Unit::steps, 21}};
  CHECK(decay_after_the_run(resolve_steps(config, 100)) ==
        "schedule.decay_at comes to step 21, after the run's last step, 20");
  config.schedule.kind = ScheduleKind::warmup_step_decay;
  config.schedule.decay_at = {{Period::Unit::fraction, 0.5}, {Period::Unit::steps, 30}};
  CHECK(decay_after_the_run(resolve_steps(config, 100)));
}

TEST_CASE("run_records: provenance is a list of sessions that grows, in run.json or a checkpoint") {
  const TempDir temp;
  Provenance first(nullptr, {{"kind", "initialised"}});
  first.begin({.hosts = {"a", "b"}, .ranks = 4, .threads = 2, .steps = 40},
              {{"sources", {{{"sha256", "0f"}}}}});
  const nlohmann::json in_checkpoint{{"provenance", first.record()}};
  first.end(20, "SIGTERM");
  first.write(temp.path());
  const auto found = provenance_of(temp.path(), in_checkpoint);
  CHECK(found["start"]["kind"] == "initialised");
  REQUIRE(found["sessions"].size() == 1);
  const auto& session = found["sessions"][0];
  CHECK(session["hosts"] == nlohmann::json{"a", "b"});
  CHECK(session["stopped_by"] == "SIGTERM");
  CHECK(session["to_step"] == 20);
  CHECK(session["ended"].get<std::string>().size() == std::string("2026-11-28T10:46:07Z").size());
  CHECK(session["command"] == nlohmann::json(command_line()));
  CHECK_FALSE(command_line().empty());
  CHECK(session["data"]["sources"][0]["sha256"] == "0f");
  Provenance second(found, {{"kind", "init-from"}});  // a requeued job says it every time
  second.begin({.from_step = 20, .steps = 40}, {});
  CHECK(second.record()["start"]["kind"] == "initialised");
  CHECK(second.record()["sessions"].size() == 2);

  for (const char* const damaged : {"{\"format\": \"granule-run/1\"}", "[", "{\"format\": \"other\"}"}) {
    write_text(temp / "run.json", damaged);
    CHECK(provenance_of(temp.path(), in_checkpoint) == in_checkpoint["provenance"]);
    CHECK(provenance_of(temp.path(), nlohmann::json::object()).is_null());
  }
}
