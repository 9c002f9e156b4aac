// granule train from outside: records, checkpoints, resume, signals, and what it refuses.
#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <sstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/kernels/bf16_support.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/masters.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
namespace fs = std::filesystem;

TEST_CASE("a run leaves config, metrics, router counts, log and checkpoints") {
  const Workshop shop;
  const ProgramResult result = shop.train("run");
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(std::count(result.out.begin(), result.out.end(), '\n') == 1);  // stdout is for machines
  const auto rows = shop.metrics("run");
  REQUIRE(rows.size() == 40);
  for (const char* key : {"step", "tokens", "epoch", "ce", "aux", "device_aux", "z", "lr", "grad_norm",
                          "load_max_over_mean", "load_cv", "dead_experts", "dropped", "aux_by_layer"}) {
    CAPTURE(key);
    CHECK(rows[0].contains(key));
  }
  CHECK(rows[0]["tokens"] == 64);
  CHECK(rows[9].contains("val_ce"));
  CHECK(rows[9]["val_perplexity"].get<double>() == Approx(std::exp(rows[9]["val_ce"].get<double>())));
  CHECK_FALSE(rows[8].contains("val_ce"));
  CHECK(rows[39]["ce"].get<double>() < rows[0]["ce"].get<double>());
  // There are 4096 bytes of header, then 40 steps of 1 layer of 8 experts. Each step routes 4·16 tokens to 2
  // experts.
  const std::string router = text_of(shop.directory / "run/router.bin");
  REQUIRE(router.size() == 4096 + 40 * 8 * 4);
  const auto header = nlohmann::json::parse(router.substr(0, 4096));
  CHECK(header["layers"] == nlohmann::json{1});
  CHECK(header["experts"] == 8);
  std::int32_t counts[8], sum = 0;
  std::memcpy(counts, router.data() + 4096 + 39 * 32, 32);
  for (const auto count : counts) sum += count;
  CHECK(sum == 4 * 16 * 2);
  CHECK(fs::exists(shop.directory / "run/config.toml"));
  CHECK(fs::exists(shop.directory / "run/checkpoints/step-00000020/state.json"));
  CHECK(fs::exists(shop.directory / "run/checkpoints/step-00000040/state.json"));
}

TEST_CASE("40 steps are 20 steps, a restart, and 20 steps: bit for bit, in every dtype") {
  for (const std::string dtype : {"train.dtype=f32", "train.dtype=bf16", "train.dtype=f64"}) {
    const Workshop shop;
    CHECK(shop.train("straight", {dtype}).exit_code == 0);
    // The schedule knows 40 steps from the start. A signal stops the first half, as the time limit of a job
    // would.
    fs::copy(shop.directory / "straight", shop.directory / "halves", fs::copy_options::recursive);
    fs::remove_all(shop.directory / "halves/checkpoints/step-00000040");
    const ProgramResult second = shop.train("halves", {dtype, "--resume"});
    INFO(second.err);
    REQUIRE(second.exit_code == 0);
    CHECK(shop.tensors("halves", 40) == shop.tensors("straight", 40));
    CHECK(shop.metrics("halves") == shop.metrics("straight"));
    CHECK(text_of(shop.directory / "halves/router.bin") == text_of(shop.directory / "straight/router.bin"));
  }
}

TEST_CASE("threads and recomputation change no bit of a run") {
  for (const std::string dtype : {"train.dtype=f32", "train.dtype=bf16"}) {
    INFO(dtype);
    const Workshop shop;
    REQUIRE(shop.train("one", {dtype, "train.threads=1"}).exit_code == 0);
    REQUIRE(shop.train("two", {dtype, "train.threads=2", "train.recompute=moe"}).exit_code == 0);
    REQUIRE(shop.train("three", {dtype, "train.threads=3", "train.recompute=full"}).exit_code == 0);
    for (const char* const other : {"two", "three"}) {
      CHECK(shop.tensors("one", 40) == shop.tensors(other, 40));
      CHECK(shop.metrics("one") == shop.metrics(other));
    }
  }
}

TEST_CASE("a run with a document mask repeats, evaluates as it trains, and differs from one without") {
  const Workshop shop;
  // Three documents of 90 tokens give 17 samples of 16, so some rows contain a boundary.
  const std::string mask = "data.document_mask=true";
  REQUIRE(shop.train("open").exit_code == 0);
  REQUIRE(shop.train("masked", {mask, "eval.batches=0"}).exit_code == 0);
  REQUIRE(
      shop.train("again", {mask, "eval.batches=0", "train.threads=3", "train.recompute=full"}).exit_code ==
      0);
  CHECK(shop.tensors("masked", 40) == shop.tensors("again", 40));
  CHECK(shop.tensors("masked", 40) != shop.tensors("open", 40));
  fs::remove_all(shop.directory / "again/checkpoints/step-00000040");
  REQUIRE(shop.train("again", {mask, "eval.batches=0", "--resume"}).exit_code == 0);
  CHECK(shop.tensors("masked", 40) == shop.tensors("again", 40));
  CHECK(shop.train("again", {"--resume"}).err.find("data.document_mask = false now, but true") !=
        std::string::npos);

  const auto eval = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"eval", shop.path("masked"), "--data", shop.path("data")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return nlohmann::json::parse(run_program(arguments).out);
  };
  const auto own = eval({}), open = eval({"data.document_mask=false"});
  CHECK(own["document_mask"] == true);
  CHECK(own["ce"] == shop.metrics("masked").back()["val_ce"]);
  CHECK(open["document_mask"] == false);
  CHECK(open["ce"] != own["ce"]);
}

TEST_CASE("a document mask over shards that do not tell their documents is refused before anything is made") {
  const Workshop shop;
  fs::copy(fs::path(fixtures_dir()) / "shards" / "u16.h5", shop.directory / "data/train-00001.h5");
  REQUIRE(shop.train("open", {"train.steps=1", "model.vocab_size=59"}).exit_code == 0);
  const ProgramResult result = shop.train("fresh", {"data.document_mask=true"});
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK(result.err.find("no /doc_offsets) (" + shop.path("data/train-00001.h5")) != std::string::npos);
  CHECK(!fs::exists(shop.directory / "fresh"));
}

TEST_CASE("log.profile says where the seconds of a step went") {
  const Workshop shop;
  REQUIRE(shop.train("plain", {"train.steps=8"}).exit_code == 0);
  CHECK(text_of(shop.directory / "plain/metrics.jsonl").find("seconds_by_phase") == std::string::npos);
  REQUIRE(shop.train("run", {"train.steps=8", "log.profile=true", "log.every=2"}).exit_code == 0);
  std::istringstream rows(text_of(shop.directory / "run/metrics.jsonl"));
  int count = 0;
  double most = 0.0;
  for (std::string line; std::getline(rows, line); ++count) {
    const auto row = nlohmann::json::parse(line);
    const auto phases = row.at("seconds_by_phase").get<std::map<std::string, double>>();
    const double step = row.at("step_seconds").get<double>();
    double sum = 0.0;
    for (const char* const phase : {"data", "forward", "backward", "ranks", "optimizer", "router statistics"})
      sum += phases.at(phase);
    // These phases do not overlap. All values are means over the same steps.
    CHECK(sum <= step);
    most = std::max(most, sum / step);
    CHECK(phases.at("expert_ffn.forward") <= phases.at("forward"));
    CHECK(phases.at("expert_ffn.backward") <= phases.at("backward"));
  }
  CHECK(count == 4);
  // The rest is reports. Other programs may stop the process there, but hardly in all steps.
  CHECK(most > 0.5);
}

TEST_CASE("a run that goes on does not hold the files of the checkpoint it came from") {
  const Workshop shop;
  REQUIRE(shop.train("run", {"train.steps=20", "schedule.kind=constant"}).exit_code == 0);
  RunningProgram running({"train", shop.path("run.toml"), "train.steps=100000", "schedule.kind=constant",
                          "--out", shop.path("run"), "--resume"});
  REQUIRE(running.wait_for_err("step 30/"));
  const std::string maps = text_of(fs::path("/proc") / std::to_string(running.pid()) / "maps");
  CHECK(maps.find("libmpi") != std::string::npos);  // the list was read while the process existed
  CHECK(maps.find("step-00000020") == std::string::npos);
}

TEST_CASE("signals that arrive while products are computed harm nothing") {
  // The model is so wide that a run is mostly inside the BLAS. A signal's frame once broke its code.
  const Workshop shop;
  RunningProgram running({"train", shop.path("run.toml"), "model.hidden_size=256",
                          "model.intermediate_size=512", "moe.moe_intermediate_size=128",
                          "train.steps=100000", "schedule.kind=constant", "train.threads=1",
                          "checkpoint.keep=1", "--out", shop.path("run")});
  REQUIRE(running.wait_for_err("step 2/"));
  for (int i = 0; i < 60 && running.running(); ++i) {
    running.send(SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(17));
  }
  running.send(SIGTERM);
  const ProgramResult result = running.wait();
  INFO(result.err);
  CHECK(result.signal == SIGTERM);
  CHECK(result.err.find("stopped by a signal") != std::string::npos);
}

TEST_CASE("what a run refuses, it refuses with exit code 2 and harms nothing") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const std::string before = shop.tensors("run", 40) + text_of(shop.directory / "run/metrics.jsonl");
  struct Row {
    const char* what;
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::string config = shop.path("run.toml"), run = shop.path("run"), fresh = shop.path("fresh");
  const std::vector<Row> rows{
      {"a directory that is not empty", {config, "--out", run}, "not empty"},
      {"another model on resume",
       {config, "model.hidden_size=32", "--out", run, "--resume"},
       "model.hidden_size"},
      {"another learning rate on resume", {config, "optim.lr=0.5", "--out", run, "--resume"}, "optim.lr"},
      {"no --out", {config}, "--out"},
      {"no data", {config, "data.path=nowhere", "--out", fresh}, "nowhere"},
      {"a vocabulary the data does not have", {config, "model.vocab_size=40", "--out", fresh}, "vocab"},
      {"sequences longer than the data",
       {config, "model.max_position_embeddings=4096", "data.seq_len=4000", "--out", fresh},
       "token"},
      {"a batch that micro-batches do not divide",
       {config, "train.batch_size=5", "--out", fresh},
       "batch_size"},
      {"a key that is not there", {config, "moe.aux_los_alpha=1", "--out", fresh}, "aux_loss_alpha"},
      {"a device that is not built", {config, "train.device=cuda", "--out", fresh}, "cuda"},
      {"more checkpoints than any disk holds",
       {config, "train.steps=1000000000", "checkpoint.every=1", "checkpoint.keep=1000000000", "--out", fresh},
       "no room for checkpoints"},
      {"a file as --out", {config, "--out", config}, "directory"},
      {"a config that is not there", {"absent.toml", "--out", fresh}, "absent.toml"},
      {"a start from nothing", {config, "--init-from", fresh, "--out", fresh}, "model"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    std::vector<std::string> arguments{"train"};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    const ProgramResult result = run_program(arguments);
    CAPTURE(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find("granule: error: ") != std::string::npos);
    CHECK(result.err.find(row.message) != std::string::npos);
    CHECK(!fs::exists(fresh));
  }
  CHECK(before == shop.tensors("run", 40) + text_of(shop.directory / "run/metrics.jsonl"));
}

TEST_CASE("a run that is complete says so, changes nothing, and goes on when it is made longer") {
  const Workshop shop;
  const auto train = [&](std::vector<std::string> more) {
    more.emplace_back("schedule.kind=constant");
    ProgramResult result = shop.train("run", more);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result.err;
  };
  train({});
  const std::string tensors = shop.tensors("run", 40);
  const auto metrics = shop.metrics("run");
  CHECK(train({"--resume"})
            .find("the run is complete at step 40, and nothing is left to do: train.steps=N with "
                  "--resume trains it longer\n") != std::string::npos);
  CHECK(shop.tensors("run", 40) == tensors);
  CHECK(shop.metrics("run") == metrics);
  const std::string config = text_of(shop.directory / "run" / "config.toml");
  train({"--resume", "train.steps=20", "log.every=7"});
  CHECK(text_of(shop.directory / "run" / "config.toml") == config);  // that of the steps that were done
  const std::string longer = train({"--resume", "train.steps=43"});
  CHECK(longer.find("complete") == std::string::npos);
  CHECK(longer.find(": going on from step-00000040\n") != std::string::npos);
  CHECK(shop.metrics("run").size() == 43);
}

TEST_CASE("a warmup that is longer than the run is warned of") {
  const Workshop shop;
  const auto warned = [&](const char* warmup) {
    const ProgramResult result = shop.train("dry", {"--dry-run", std::string("schedule.warmup=") + warmup});
    CHECK(result.exit_code == 0);
    return result.err.find("warning: schedule.warmup has 41 steps and the run has 40") != std::string::npos;
  };
  CHECK(warned("41"));
  CHECK_FALSE(warned("40"));
}

TEST_CASE("a damaged newest checkpoint is named and passed over") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const std::string expected = shop.tensors("run", 40);
  fs::resize_file(shop.directory / "run/checkpoints/step-00000040/model-00001-of-00001.safetensors", 100);
  const ProgramResult again = shop.train("run", {"--resume"});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(again.err.find("step-00000040") != std::string::npos);
  CHECK(shop.tensors("run", 40) == expected);
}

TEST_CASE("a run whose every checkpoint is damaged is refused, not started over") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  for (const char* const step : {"step-00000020", "step-00000040"}) {
    fs::resize_file(shop.directory / "run/checkpoints" / step / "optim-00001-of-00001.safetensors", 100);
  }
  const auto metrics = shop.metrics("run");
  const ProgramResult again = shop.train("run", {"--resume"});
  INFO(again.err);
  CHECK(again.exit_code == 2);
  CHECK(again.err.find("every checkpoint of the run is damaged") != std::string::npos);
  CHECK(shop.metrics("run") == metrics);
}

TEST_CASE("a damaged line of metrics.jsonl cuts the record there, and the log says so") {
  const Workshop shop;
  REQUIRE(shop.train("run").exit_code == 0);
  const auto metrics = shop.directory / "run/metrics.jsonl";
  for (const std::string damage : {"{\"step\": 5, \"step\": 5}", "5", "{\"step\": \"five\"}", "[[[["}) {
    CAPTURE(damage);
    std::istringstream before(text_of(metrics));
    std::string after;
    int number = 0;
    for (std::string line; std::getline(before, line);) after += (++number == 5 ? damage : line) + '\n';
    write_text(metrics, after);
    const ProgramResult again = shop.train("run", {"--resume"});
    CHECK(again.exit_code == 0);
    CHECK(again.err.find("metrics.jsonl is damaged: what follows its line 4 is cut off") !=
          std::string::npos);
    // The run's last step was to be evaluated. The evaluation is repeated, because its row was lost.
    const auto rows = shop.metrics("run");
    REQUIRE(rows.size() == 5);
    CHECK(rows[3].at("step") == 4);
    CHECK(rows[4].contains("val_ce"));
    REQUIRE(fs::remove_all(shop.directory / "run") > 0);
    REQUIRE(shop.train("run").exit_code == 0);
  }
  // A line that a crash cut short is not damage.
  write_text(metrics, text_of(metrics) + "{\"step\": 4");
  CHECK(shop.train("run", {"--resume"}).err.find("damaged") == std::string::npos);
  CHECK(shop.metrics("run").size() == 40);
}

TEST_CASE("a second job on a run directory is refused with exit code 73 and the first is unharmed") {
  const Workshop shop;
  RunningProgram first(
      {"train", shop.path("run.toml"), "train.steps=100000", "--out", shop.path("run"), "--resume"});
  REQUIRE(first.wait_for_err("step 3/"));
  first.send(SIGSTOP);  // a stopped process still holds its directory
  const ProgramResult second = shop.train("run", {"train.steps=100000", "--resume"});
  first.send(SIGCONT);
  CHECK(second.exit_code == 73);
  CHECK(first.running());
  first.send(SIGUSR2);
  CHECK(first.wait().exit_code == 0);
}

TEST_CASE("a dry run prints the resolved config as JSON and makes nothing") {
  const Workshop shop;
  const ProgramResult result = shop.train("dry", {"--dry-run"});
  REQUIRE(result.exit_code == 0);
  const auto report = nlohmann::json::parse(result.out);
  CHECK(report["config"]["model"]["vocab_size"] == 59);
  CHECK(report["steps"] == 40);
  CHECK(report["parameters"]["total"].get<int>() > report["parameters"]["activated"].get<int>());
  CHECK(!fs::exists(shop.directory / "dry"));
}

TEST_CASE("a dry run needs no data where the config says the vocabulary") {
  const std::string config = source_dir() + "/configs/paper/deepseekmoe-16b.toml";
  const ProgramResult known = run_program({"train", config, "--dry-run"});
  REQUIRE(known.exit_code == 0);
  CHECK(nlohmann::json::parse(known.out)["parameters"]["total"] == 16'375'728'128);
  const ProgramResult unknown =
      run_program({"train", source_dir() + "/configs/baselines/dense.toml", "--dry-run"});
  CHECK(unknown.exit_code == 2);
  CHECK(unknown.err.find("data.path") != std::string::npos);
}

TEST_CASE("a run in bf16 follows that in float32, and its checkpoints and exports have float32 masters") {
  const Workshop shop;
  REQUIRE(shop.train("f32").exit_code == 0);
  const ProgramResult trained = shop.train("bf16", {"train.dtype=bf16"});
  REQUIRE(trained.exit_code == 0);
  constexpr std::array kUnits{", bf16 units not used", ", bf16 units:", ", bf16 tiles (AMX):"};
  const char* const units = kUnits[static_cast<std::size_t>(granule::bf16_units_by_speed().front())];
  CHECK(trained.err.find(units) != std::string::npos);
  const auto wide = shop.metrics("f32"), narrow = shop.metrics("bf16");
  REQUIRE(narrow.size() == wide.size());
  // Here rounding moved the first loss by 1e-4 of it, and the last one by 6e-4. These bounds are ten times
  // that.
  CHECK(narrow[0]["ce"].get<double>() == Approx(wide[0]["ce"].get<double>()).epsilon(1e-3));
  CHECK(narrow.back()["ce"].get<double>() == Approx(wide.back()["ce"].get<double>()).epsilon(6e-3));
  require_masters(shop.checkpoint("bf16", 40));
  REQUIRE(run_program({"export", shop.path("bf16"), "--format", "hf", "--out", shop.path("hf")}).exit_code ==
          0);
  const auto ce = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--data", shop.path("data"), "data.seq_len=16"});
    return nlohmann::json::parse(run_program(words).out)["ce"].get<double>();
  };
  // An export has no dtype of computation. The same loss is summed over batches of another size.
  const auto near = [](double value) { return Approx(value).epsilon(1e-12); };
  CHECK(ce({shop.path("hf"), "train.dtype=bf16"}) == near(ce({shop.path("bf16")})));
  CHECK(ce({shop.path("hf")}) == near(ce({shop.path("bf16"), "train.dtype=f32"})));
  CHECK(ce({shop.path("hf")}) != near(ce({shop.path("bf16")})));
}
