// How a run begins and continues: its own config, another run's state, a source that is gone. Also what it
// writes to stdout and run.json.
#include <csignal>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

ProgramResult program(const std::vector<std::string>& words) {
  return run_program(words);
}

json line_of(const ProgramResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  REQUIRE(std::count(result.out.begin(), result.out.end(), '\n') == 1);
  return json::parse(result.out);
}

void check_refused(const ProgramResult& result, const std::string& message, int code = 2) {
  CHECK(result.exit_code == code);
  CHECK_THAT(result.err, Contains(message));
}

json run_json(const Workshop& shop, const char* run) {
  return json::parse(text_of(shop.directory / run / "run.json"));
}

const std::vector<std::string> kConstant{"schedule.kind=constant", "schedule.warmup=0"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("train ends with one line of JSON, when it is complete already too") {
  const Workshop shop;
  const json line = line_of(shop.train("run"));
  const auto rows = shop.metrics("run");
  CHECK(line["run"] == shop.path("run"));
  CHECK(line["step"] == 40);
  CHECK(line["steps"] == 40);
  CHECK(line["complete"] == true);
  CHECK(line["stopped_by"].is_null());
  CHECK(line["ce"] == rows.back()["ce"]);
  CHECK(line["val_ce"] == rows.back()["val_ce"]);
  CHECK(line["checkpoint"] == shop.checkpoint("run", 40).string());
  json again = line_of(shop.train("run", {"--resume"}));
  for (const char* const key :
       {"run", "step", "steps", "complete", "stopped_by", "ce", "val_ce", "checkpoint"})
    CHECK(again[key] == line[key]);
}

TEST_CASE("a run goes on with its own config, in every form of the command") {
  const Workshop shop;
  const std::string run = shop.path("run");
  REQUIRE(shop.train("run", kConstant).exit_code == 0);
  const auto goes_on = [&](const std::vector<std::string>& words, int steps) {
    CAPTURE(words);
    const json line = line_of(program(with({"train"}, words)));
    CHECK(line["step"] == steps);
    CHECK(line["complete"] == true);
  };
  goes_on({"--resume", run}, 40);
  goes_on({"--resume", run, "train.steps=41"}, 41);
  goes_on({run, "--resume", "train.steps=42"}, 42);
  goes_on({"--resume", run + "/", "train.steps=43", "log.every=7"}, 43);
  goes_on({"--resume=" + run, "train.steps=44"}, 44);
  goes_on({"train.steps=45", "--out", run, "--resume"}, 45);
  goes_on({"--out", run, "--resume", "train.steps=46"}, 46);
  goes_on({"--resume", "--out", run, run}, 46);
  goes_on(with({shop.path("run.toml"), "--resume", "--out", run, "train.steps=47"}, kConstant), 47);
  goes_on(with({"--resume", shop.path("run.toml"), "--out", run, "train.steps=48"}, kConstant), 48);
  goes_on(with({shop.path("run.toml"), "--resume", run, "train.steps=49"}, kConstant), 49);
  goes_on(with({"--resume", run, shop.path("run.toml"), "train.steps=50"}, kConstant), 50);
  CHECK(run_json(shop, "run")["sessions"].size() == 11);  // a complete run gets no new session
  CHECK(shop.metrics("run").size() == 50);
  goes_on({shop.path("run.toml"), "--resume", shop.path("begun"), "train.steps=2"}, 2);

  check_refused(program({"train", "--resume"}), "CONFIG is missing");
  check_refused(program({"train", "--resume", shop.path("nowhere")}), "there is no run to go on with");
  check_refused(program({"train", "--resume", shop.path("data")}), "there is no config.toml");
  check_refused(program({"train", "--resume", shop.path("run.toml")}), "--out is missing");
  check_refused(program({"train", "--resume", run, "--out", shop.path("data")}), "two run directories");
  check_refused(program({"train", run, "--out", shop.path("fresh")}), "the config is a directory");
  check_refused(program({"train", shop.path("run.toml"), run}), "no override");
}

TEST_CASE("a damaged manifest is named once") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  write_text(shop.directory / "run/checkpoints/step-00000040/state.json", "{}");
  const ProgramResult again = run_program({"train", "--resume", shop.path("run")});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(again.err.find("passed over") != std::string::npos);
  CHECK(again.err.find("passed over") == again.err.rfind("passed over"));
}

TEST_CASE("a run whose checkpoints are gone does not begin again over its record") {
  const Workshop shop;
  const fs::path run = shop.directory / "run", away = shop.directory / "away";
  REQUIRE(shop.train("run").exit_code == 0);
  fs::rename(run / "checkpoints", away);
  const std::string rows = text_of(run / "metrics.jsonl"), log = text_of(run / "log.txt");
  const auto refused = [&] {
    check_refused(program({"train", "--resume", run}),
                  "the run has saved checkpoints, and there is none now");
    check_refused(shop.train("run", {"--resume"}), "mount or put back checkpoints/");
    check_refused(program({"eval", run, "--data", shop.path("data")}), "put back its checkpoints/");
    check_refused(program({"train", "--fork", run, "--out", shop.path("fork")}), "there is none now");
    CHECK(text_of(run / "metrics.jsonl") == rows);
  };
  refused();
  fs::create_directory(run / "checkpoints");  // a place where nothing is mounted
  refused();
  fs::remove(run / "log.txt");  // then run.json says it
  refused();
  write_text(run / "log.txt", log);  // that of a job that was killed
  replace_in(run / "run.json", "\"to_step\": 40", "\"to_step\": null");
  refused();
  fs::remove(run / "checkpoints");
  fs::rename(away, run / "checkpoints");
  CHECK(program({"train", "--resume", run, "train.steps=41"}).exit_code == 0);
}

TEST_CASE("a run that was killed before its first checkpoint begins again and says so") {
  const Workshop shop;
  RunningProgram job({"train", shop.path("run.toml"), "train.steps=100000", "checkpoint.every=0",
                      "eval.every=0", "--out", shop.path("run")});
  REQUIRE(job.wait_for_err("step 30/"));
  job.send(SIGKILL);
  static_cast<void>(job.wait());
  const ProgramResult again = program({"train", "--resume", shop.path("run"), "train.steps=10"});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK_THAT(again.err, Contains("the run has saved no checkpoint yet, so it begins again\n"));
  CHECK(shop.metrics("run").back()["step"] == 10);
}

TEST_CASE("the last line of train and status name a checkpoint that is whole") {
  const Workshop shop;
  const fs::path run = shop.directory / "run";
  REQUIRE(shop.train("run").exit_code == 0);
  fs::create_directory(shop.checkpoint("run", 999));
  CHECK(line_of(program({"status", run}))["checkpoint"] == shop.checkpoint("run", 40).string());
  CHECK(line_of(program({"status", run}))["step"] == 40);
  const json line = line_of(program({"train", "--resume", run, "train.steps=50"}));
  CHECK(line["checkpoint"] == shop.checkpoint("run", 50).string());
  fs::resize_file(shop.checkpoint("run", 50) / "model-00001-of-00001.safetensors", 100);
  CHECK(line_of(program({"status", run}))["checkpoint"] == shop.checkpoint("run", 40).string());
  damage(shop.checkpoint("run", 40) / "state.json");
  CHECK(line_of(program({"status", run}))["checkpoint"] == shop.checkpoint("run", 20).string());
}

TEST_CASE("a shard that is cut short during training is named") {
  const Workshop shop;
  RunningProgram job(
      {"train", shop.path("run.toml"), "train.steps=1000000", "eval.every=0", "--out", shop.path("run")});
  REQUIRE(job.wait_for_err("step 10/"));
  fs::resize_file(shop.directory / "data/train-00000.h5", 0);
  const ProgramResult result = job.wait();
  INFO(result.err);
  CHECK(result.exit_code == 74);
  CHECK_THAT(result.err,
             Contains("granule: error: the file can no longer be read: it was cut short, or its disk "
                      "failed (" +
                      shop.path("data/train-00000.h5") + "): "));
}

TEST_CASE("a stdout that is full is an error after everything is saved") {
  const Workshop shop;
  const ProgramResult result = run_program({"-c", "\"$0\" train \"$1\" --out \"$2\" > /dev/full",
                                            program_path(), shop.path("run.toml"), shop.path("run")},
                                           {.program = "/bin/sh"});
  INFO(result.err);
  CHECK(result.exit_code == 74);
  CHECK_THAT(result.err, Contains("granule: error: cannot write the output: "));
  CHECK(fs::exists(shop.checkpoint("run", 40) / "state.json"));
  CHECK(run_json(shop, "run")["sessions"][0]["stopped_by"].is_null());
}

TEST_CASE("log.txt has the error that ended the training") {
  const Workshop shop;
  const ProgramResult result = shop.train("run", {"optim.lr=1e6", "optim.grad_clip=0", "train.max_skips=2"});
  INFO(result.err);
  REQUIRE(result.exit_code == 77);
  const std::string log = text_of(shop.directory / "run/log.txt");
  CHECK_THAT(log, Contains("granule: error: 2 steps in a row were skipped"));
  CHECK_THAT(log, Contains("there is no checkpoint: start a new run with a lower optim.lr"));
  CHECK_THAT(log, !Contains("-nan"));
}

TEST_CASE("run.json and checkpoints say which program trained what, where, and how it ended") {
  const Workshop shop;
  REQUIRE(shop.train("run", with(kConstant, {"train.threads=1"})).exit_code == 0);
  REQUIRE(shop.train("run", with(kConstant, {"--resume", "train.steps=44", "train.threads=2"})).exit_code ==
          0);
  const json record = run_json(shop, "run");
  CHECK(record["start"]["kind"] == "initialised");
  REQUIRE(record["sessions"].size() == 2);
  const json& first = record["sessions"][0];
  const json& second = record["sessions"][1];
  const std::string version = run_program({"--version"}).out;
  CHECK_THAT(version, Contains(fmt::format("granule {} ({})\ncpu   {}\n", first["version"].get<std::string>(),
                                           first["commit"].get<std::string>(),
                                           first["instruction_set"].get<std::string>())));
  CHECK(first["command"][1] == "train");
  CHECK(first["hosts"].size() == 1);
  CHECK(first["ranks"] == 1);
  CHECK(first["threads"] == 1);
  CHECK(second["threads"] == 2);
  CHECK(first["from_step"] == 0);
  CHECK(first["to_step"] == 40);
  CHECK(second["from_step"] == 40);
  CHECK(second["to_step"] == 44);
  CHECK(first["stopped_by"].is_null());
  CHECK(first["started"].get<std::string>() <= first["ended"].get<std::string>());
  CHECK(first["data"]["sources"][0]["path"] == shop.path("data"));
  CHECK(first["data"]["sources"][0]["sha256"].get<std::string>().size() == 64);

  const json saved =
      json::parse(text_of(shop.checkpoint("run", 44) / "state.json"))["sections"]["provenance"];
  CHECK(saved["sessions"][0] == first);
  CHECK(saved["sessions"][1]["command"] == second["command"]);
  CHECK(saved["sessions"][1]["ended"].is_null());
  const ProgramResult inspected = run_program({"inspect", shop.path("run")});
  CHECK(json::parse(inspected.out)["provenance"] == record);
  CHECK_THAT(inspected.err, Contains("trained by granule " + first["version"].get<std::string>()));
  CHECK(json::parse(run_program({"inspect", shop.checkpoint("run", 44)}).out)["provenance"] == saved);

  // If the record is lost, it continues from the one in the checkpoint.
  write_text(shop.directory / "run/run.json", "{\"torn");
  REQUIRE(shop.train("run", with(kConstant, {"--resume", "train.steps=45"})).exit_code == 0);
  CHECK(run_json(shop, "run")["sessions"].size() == 3);
}

TEST_CASE("a fork that changes nothing is the run itself, bit for bit") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const json line =
      line_of(program({"train", "--fork", shop.path("run") + ":20", "--out", shop.path("fork")}));
  CHECK(line["step"] == 40);
  CHECK(shop.tensors("fork", 40) == shop.tensors("run", 40));
  const auto all = shop.metrics("run"), own = shop.metrics("fork");
  REQUIRE(own.size() == 20);
  CHECK(std::equal(own.begin(), own.end(), all.begin() + 20));
  const std::string router = text_of(shop.directory / "fork/router.bin");
  REQUIRE(router.size() == 4096 + 20 * 8 * 4);
  CHECK(json::parse(router.substr(0, 4096))["first_step"] == 21);
  CHECK(router.substr(4096) == text_of(shop.directory / "run/router.bin").substr(4096 + 20 * 8 * 4));
  const json start = run_json(shop, "fork")["start"];
  CHECK(start["kind"] == "fork");
  CHECK(start["step"] == 20);
  CHECK(start["path"] == shop.checkpoint("run", 20).string());
  CHECK_THAT(start["digest"].get<std::string>(), Contains("xxh3:"));
  // It is still known which data a step saw.
  const auto where = [&](const char* run, const char* step) {
    json report = json::parse(run_program({"data", "where", shop.path(run), "--step", step}).out);
    return report["samples"];
  };
  CHECK(where("fork", "30") == where("run", "30"));
  check_refused(run_program({"data", "where", shop.path("fork"), "--step", "20"}),
                "the run has steps 21 to 40");

  // A requeued fork continues after its source is gone, with and without a config file.
  fs::remove_all(shop.directory / "fork");
  REQUIRE(program({"train", "--fork", shop.path("run") + ":20", "--out", shop.path("fork"), "train.steps=30"})
              .exit_code == 0);
  fs::remove_all(shop.directory / "run");
  const std::vector<std::string> requeued{"--fork", shop.path("run") + ":20", "--out", shop.path("fork"),
                                          "--resume"};
  check_refused(program(with({"train"}, {"--fork", shop.path("run"), "--out", shop.path("other")})),
                "there is no run to fork");
  CHECK(line_of(program(with({"train", "train.steps=40"}, requeued)))["step"] == 40);
  CHECK(line_of(program(with({"train", shop.path("run.toml")}, requeued)))["step"] == 40);
}

TEST_CASE("a fork may change the schedule, the batch, the data, the type and the layout") {
  const Workshop shop;
  REQUIRE(shop.train("run", kConstant).exit_code == 0);
  const std::string source = shop.path("run") + ":20";
  const auto fork = [&](const char* out, const std::vector<std::string>& words) {
    const ProgramResult result = program(with({"train", "--fork", source, "--out", shop.path(out)}, words));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result.err;
  };
  const std::string decay = fork("decay", {"schedule.kind=wsd", "schedule.decay_at=20"});
  CHECK_THAT(decay, Contains("the learning rate of step 21 is 9.50e-03, that of step 20 was 1.00e-02"));
  CHECK(shop.metrics("decay").back()["lr"] == 0.0);
  CHECK_FALSE(fs::exists(shop.checkpoint("decay", 20)));
  fork("batch", {"train.batch_size=8", "train.steps=22"});
  auto rows = shop.metrics("batch");
  CHECK(rows[0]["tokens"] == 20 * 64 + 128);
  CHECK(json::parse(text_of(shop.checkpoint("batch", 22) / "state.json"))["consumed_samples"] == 80 + 16);
  CHECK(json::parse(run_program({"inspect", shop.path("batch")}).out)["tokens"] == 20 * 64 + 2 * 128);
  CHECK_THAT(fork("seq", {"data.seq_len=8", "train.steps=22"}),
             Contains("the data are read from their beginning: data.seq_len differs"));
  CHECK_THAT(fork("seed", {"data.seed=7", "train.steps=22"}), Contains("data.seed differs"));
  fs::create_directory(shop.directory / "more");
  write_shard(shop.directory / "more/train-00000.h5", patterned_documents(9, 70, 59), 59);
  CHECK_THAT(fork("others", {"data.path=" + shop.path("more"), "eval.every=0", "train.steps=22"}),
             Contains("the data are others"));
  fork("f64", {"train.dtype=f64", "train.steps=21"});
  fork("bf16", {"train.dtype=bf16", "train.steps=21"});
  // The state is that of the source for any number of ranks, so the losses of the next step agree.
  const std::vector<std::string> words{program_path(),  "train",           "--fork",
                                       source,          "--out",           shop.path("ranks"),
                                       "parallel.ep=2", "parallel.zero=3", "train.micro_batch_size=1"};
  const ProgramResult ranks = under_mpirun(2, words);
  INFO(ranks.err);
  REQUIRE(ranks.exit_code == 0);
  rows = shop.metrics("ranks");
  CHECK(rows[0]["ce"].get<double>() == Approx(shop.metrics("run")[20]["ce"].get<double>()).epsilon(1e-5));
  CHECK(rows.back()["ce"].get<double>() == Approx(shop.metrics("run")[39]["ce"].get<double>()).epsilon(1e-3));
}

TEST_CASE("a run may begin from another one that is training and removes its checkpoints") {
  const Workshop shop;
  RunningProgram source({"train", shop.path("run.toml"), "--out", shop.path("run"), "train.steps=1000000",
                         "log.every=1000000", "eval.every=0", "checkpoint.every=1", "checkpoint.keep=1"});
  REQUIRE(source.wait_for_err("saved step-00000002"));
  for (int i = 0; i < 12; ++i) {
    const ProgramResult begun = program({"train", shop.path("run.toml"), i == 0 ? "--init-from" : "--fork",
                                         shop.path("run"), "--dry-run", "train.steps=2000000"});
    INFO(begun.err);
    CHECK(begun.exit_code == 0);
  }
  CHECK(source.running());
}

TEST_CASE("a fork that cannot be is refused by name") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const std::string run = shop.path("run");
  const auto refused = [&](const std::vector<std::string>& words, const std::string& message) {
    check_refused(program(with({"train", "--out", shop.path("fork")}, words)), message);
    CHECK_FALSE(fs::exists(shop.directory / "fork/metrics.jsonl"));
  };
  refused({"--fork", run + ":21"}, "its checkpoints are of the steps 20, 40");
  refused({"--fork", run + ":latest"}, "'latest' is no step");
  refused({"--fork", run}, "raise train.steps");
  refused({"--fork", run + ":20", "model.hidden_size=32"}, "would change the shape");
  refused({"--fork", run + ":20", "--init-from", run}, "--fork and --init-from are both given");
  refused({"--fork", shop.path("data")}, "there is no run to fork");
}

TEST_CASE("what a run began with is needed to begin only") {
  const Workshop shop;
  REQUIRE(shop.train("source").exit_code == 0);
  REQUIRE(
      run_program({"export", shop.path("source"), "--format", "hf", "--out", shop.path("hf")}).exit_code ==
      0);
  // The model's keys come from the model.
  std::string config = text_of(shop.directory / "run.toml");
  config.erase(0, config.find("[data]"));
  write_text(shop.directory / "short.toml", config);
  const std::vector<std::string> words{
      "train",    shop.path("short.toml"),  "--init-from",    shop.path("hf"), "--out", shop.path("run"),
      "--resume", "schedule.kind=constant", "data.seq_len=16"};
  REQUIRE(program(words).exit_code == 0);
  CHECK(run_json(shop, "run")["start"]["kind"] == "init-from");
  fs::remove_all(shop.directory / "hf");
  CHECK(line_of(program(with(words, {"train.steps=42"})))["step"] == 42);
  CHECK(run_json(shop, "run")["start"]["path"] == shop.path("hf"));
  check_refused(program(with(words, {"moe.moe_intermediate_size=16"})), "would change the shape");
  check_refused(program({"train", shop.path("short.toml"), "--init-from", shop.path("hf"), "--out",
                         shop.path("fresh"), "--resume"}),
                "there is no model here");
}

TEST_CASE("a lengthened run says that its learning rate jumps, and a decay after the run is refused") {
  const Workshop shop;
  const std::vector<std::string> cosine{"schedule.min_lr=1e-4"};
  REQUIRE(shop.train("run", with(cosine, {"train.steps=20"})).exit_code == 0);
  const ProgramResult longer = shop.train("run", with(cosine, {"--resume"}));
  CHECK(longer.exit_code == 0);
  CHECK_THAT(longer.err,
             Contains("the learning rate of step 21 is ") &&
                 Contains(", that of step 20 was 1.00e-04: the schedule is that of a run of 40 steps, "
                          "and was that of a run of 20 before\n"));
  CHECK_THAT(text_of(shop.directory / "run/log.txt"), Contains("the learning rate of step 21"));
  REQUIRE(shop.train("straight", cosine).exit_code == 0);
  fs::remove_all(shop.checkpoint("straight", 40));
  CHECK_THAT(shop.train("straight", with(cosine, {"--resume"})).err, !Contains("the learning rate"));
  for (const std::string kind : {"wsd", "warmup_step_decay"}) {
    const std::vector<std::string> late{"schedule.kind=" + kind, "schedule.decay_at=41"};
    check_refused(shop.train("fresh", late),
                  "schedule.decay_at comes to step 41, after the run's last step, 40");
    check_refused(shop.train("fresh", with(late, {"--dry-run"})), "schedule.decay_at comes to step 41");
    CHECK_FALSE(fs::exists(shop.directory / "fresh"));
  }
}

TEST_CASE("a run that this host has no memory for is refused before anything is made") {
  const Workshop shop;
  const ProgramResult result =
      shop.train("big", {"train.batch_size=4194304", "train.micro_batch_size=4194304"});
  check_refused(result, "a step takes", 71);
  CHECK_THAT(result.err, Contains(" left (memory): it fits with train."));
  CHECK_FALSE(fs::exists(shop.directory / "big/config.toml"));
}
