// Whole commands on the emulated CUDA device (tests/cuda_emulation): a run equals that of the CPU within
// rounding, and what the real plug-in says without a GPU.
#include <cmath>
#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/faulty_run.hpp"
#include "tests/support/masters.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/workshop.hpp"

#ifdef GRANULE_CUDA_EMULATED

using namespace granule::test;

namespace {

using Words = std::vector<std::string>;
using nlohmann::json;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kOnCuda{"train.device=cuda"};
/// The emulated device, or on a machine with GPUs the plug-in that the environment names.
const char* device_plugin() {
  const char* const named = std::getenv("GRANULE_CUDA_PLUGIN");
  return named != nullptr ? named : GRANULE_CUDA_EMULATED;
}
ProgramOptions with(const char* plugin) {
  return {.environment = {{"GRANULE_CUDA_PLUGIN", plugin}}};
}

Words train_words(const Workshop& shop, const char* out, const Words& more) {
  return Words{"train", shop.path("run.toml"), "--out", shop.path(out), "train.steps=6", "eval.every=3"} +
         more;
}

/// The largest relative difference of two numbers at the same place, or infinity if anything else differs.
double difference(const json& a, const json& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.is_number_float() && b.is_number_float()) {
    const double x = a.get<double>(), y = b.get<double>();
    return x == y ? 0.0 : std::abs(x - y) / std::max(std::abs(x), std::abs(y));
  }
  if (!a.is_structured()) return a == b ? 0.0 : kInfinity;
  if (a.type() != b.type() || a.size() != b.size()) return kInfinity;
  const json left = a.flatten(), right = b.flatten();
  double most = 0.0;
  for (const auto& [place, value] : left.items())
    most = std::max(most, right.contains(place) ? difference(value, right[place]) : kInfinity);
  return most;
}

/// Returns what it has written on stderr.
std::string train_on(int ranks, const Workshop& shop, const char* out, const Words& more,
                     const ProgramOptions& options) {
  const ProgramResult result =
      under_mpirun(ranks, Words{program_path()} + train_words(shop, out, more), options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result.err;
}

void require_close_runs(const Workshop& shop, double bound) {
  CHECK(difference(json(shop.metrics("cuda")), json(shop.metrics("cpu"))) <= bound);
}

}  // namespace

TEST_CASE("emulated CUDA: a run equals the CPU's, for every router, loss and kind of recomputation") {
  // In f64 every choice is the same. Six steps of AdamW made of roundings of 1e-16 at most 5e-15.
  const std::vector<Words> kinds{
      {},
      {"train.recompute=full", "model.attention_bias=true", "model.tie_word_embeddings=true"},
      {"moe.scoring_func=sigmoid", "moe.bias_update_speed=0.01", "moe.norm_topk_prob=true", "moe.n_group=4",
       "moe.topk_group=2", "train.recompute=moe"},
      {"moe.router=hash", "moe.capacity_factor=1.0"},
      {"moe.capacity_factor=1.0", "moe.device_groups=2", "moe.device_loss_alpha=0.01",
       "moe.z_loss_alpha=0.01", "data.document_mask=true"},
  };
  for (const Words& kind : kinds) {
    CAPTURE(kind);
    const Workshop shop;
    const Words wide = kind + Words{"train.dtype=f64"};
    REQUIRE(run_program(train_words(shop, "cpu", wide)).exit_code == 0);
    const ProgramResult result =
        run_program(train_words(shop, "cuda", wide) + kOnCuda, with(device_plugin()));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    require_close_runs(shop, 1e-12);
  }
}

TEST_CASE("emulated CUDA: a run in f32 is as close to the CPU's as roundings allow") {
  const Workshop shop;
  REQUIRE(run_program(train_words(shop, "cpu", {})).exit_code == 0);
  const ProgramResult result = run_program(train_words(shop, "cuda", kOnCuda), with(device_plugin()));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  // No choice flips in these steps. AdamW divides by the root of v, so a small gradient's roundings count in
  // full.
  require_close_runs(shop, 1e-4);
  std::ifstream file(shop.directory / "cuda/metrics.jsonl");
  std::string row;
  std::getline(file, row);
  CHECK(json::parse(row)["mfu"].is_null());  // the peak of this device is not known
}

TEST_CASE("emulated CUDA: a run in bf16 is as close to the CPU's as its roundings allow") {
  const Workshop shop;
  const Words narrow{"train.dtype=bf16"};
  REQUIRE(run_program(train_words(shop, "cpu", narrow)).exit_code == 0);
  const ProgramResult result =
      run_program(train_words(shop, "cuda", narrow + kOnCuda), with(GRANULE_CUDA_EMULATED));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.err, !Catch::Contains("bf16 units"));  // those of the CPU
  // Heads of 8 elements are what cuDNN takes, and the log says so for both directions.
  CHECK_THAT(result.err,
             Catch::Contains("attention forward of 2 × 16 tokens, 2 heads over 2 of 8 and 8: cuDNN 9"));
  CHECK_THAT(result.err, Catch::Contains("attention backward of "));
  CHECK_THAT(result.err, !Catch::Contains("batched products"));
  const auto cuda = shop.metrics("cuda"), cpu = shop.metrics("cpu");
  REQUIRE(cuda.size() == cpu.size());
  // Sums in another order round some activations to the neighbour in bf16. Here that moved losses by up to
  // 1e-4 and norms by up to 1.5e-3, and bf16 itself moves losses of this run by 3e-4. The bounds are about
  // six times that.
  for (std::size_t i = 0; i < cuda.size(); ++i) {
    CAPTURE(i);
    CHECK(difference(cuda[i]["ce"], cpu[i]["ce"]) <= 6e-4);
    CHECK(difference(cuda[i]["grad_norm"], cpu[i]["grad_norm"]) <= 1e-2);
  }
}

TEST_CASE("emulated CUDA: checkpoints of bf16 have the masters, and a resumed run goes on bit for bit") {
  const Workshop shop;
  const Words words = train_words(shop, "run", Words{"train.dtype=bf16", "checkpoint.every=3"} + kOnCuda);
  const auto run = [&](const Words& more) {
    const ProgramResult result = run_program(words + more, with(GRANULE_CUDA_EMULATED));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return std::pair{shop.tensors("run", 6), shop.metrics("run")};
  };
  const auto whole = run({});
  require_masters(shop.checkpoint("run", 6));
  std::filesystem::remove_all(shop.checkpoint("run", 6));
  CHECK(run({"--resume"}) == whole);
}

TEST_CASE("emulated CUDA: ranks that share experts and ZeRO parts equal those of the CPU") {
  const std::vector<std::pair<int, Words>> layouts{{2, {"parallel.zero=3", "parallel.ep=2"}},
                                                   {2, {"parallel.zero=1"}},
                                                   {4, {"parallel.zero=2", "parallel.ep=2"}}};
  for (const auto& [n, layout] : layouts) {
    CAPTURE(n, layout);
    const Workshop shop;
    const Words wide = layout + Words{"train.dtype=f64", "train.micro_batch_size=1"};
    train_on(n, shop, "cpu", wide, {});
    const std::string log = train_on(n, shop, "cuda", wide + kOnCuda, with(GRANULE_CUDA_EMULATED));
    CHECK_THAT(log, Catch::Contains("tensors by NCCL"));
    require_close_runs(shop, 1e-12);
  }
}

TEST_CASE("emulated CUDA: with parallel.deterministic every ZeRO stage has the same bits, and only then") {
  const Workshop shop;
  const auto metrics_of = [&](const char* out, bool deterministic, int zero) {
    const Words keys{"train.micro_batch_size=1", "parallel.ep=2", fmt::format("parallel.zero={}", zero),
                     fmt::format("parallel.deterministic={}", deterministic)};
    train_on(4, shop, out, kOnCuda + keys, with(GRANULE_CUDA_EMULATED));
    return shop.metrics(out);
  };
  const auto in_order = metrics_of("in-order-0", true, 0);
  CHECK(metrics_of("in-order-1", true, 1) == in_order);
  CHECK(metrics_of("in-order-2", true, 2) == in_order);
  CHECK(metrics_of("in-order-3", true, 3) == in_order);
  // The emulated NCCL adds whole sums and parts in different orders.
  CHECK(metrics_of("any-order-0", false, 0) != metrics_of("any-order-1", false, 1));
}

TEST_CASE("emulated CUDA: verify certifies every layout of 2 and 4 ranks there") {
  const Workshop shop;
  for (const auto& [n, order] : {std::pair{2, "true"}, std::pair{4, "false"}}) {
    const Words words{program_path(),
                      "verify",
                      shop.path("run.toml"),
                      "train.dtype=f64",
                      "train.micro_batch_size=1",
                      fmt::format("parallel.deterministic={}", order)};
    const ProgramResult result = under_mpirun(n, words + kOnCuda, with(GRANULE_CUDA_EMULATED));
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(json::parse(result.out)["layouts"].size() == (n == 2 ? 8 : 12));
  }
}

TEST_CASE("emulated CUDA: each rank of a host has a GPU of its own, or the job ends with 2") {
  const Workshop shop;
  ProgramOptions few = with(GRANULE_CUDA_EMULATED);
  few.environment["GRANULE_EMULATED_DEVICES"] = "1";
  const ProgramResult result =
      under_mpirun(2, Words{program_path()} + train_words(shop, "few", kOnCuda), few);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Catch::Contains("rank 1: this is rank 1 of its host (from 0), which has 1 GPU "
                                         "(train.device = \"cuda\"): start at most as many ranks"));
}

TEST_CASE("emulated CUDA: a rank that is out of step ends the job with 76, and one that hangs with 75") {
  const Workshop shop;
  for (const std::string fault : {"skip rank=1 step=3 at=gradients", "repeat rank=0 step=3 at=expert_rows",
                                  "stop rank=1 step=3 at=values", "kill rank=1 step=3 at=expert_rows"}) {
    const std::string kind = fault.substr(0, fault.find(' '));
    const Ending ending = end_of_faulty(
        shop, kind.c_str(),
        {.fault = fault,
         .more = kOnCuda + Words{"parallel.ep=2", "parallel.zero=3", "train.micro_batch_size=1",
                                 "parallel.watchdog_seconds=2", "train.steps=6", "eval.every=0"},
         .environment = {{"GRANULE_CUDA_PLUGIN", GRANULE_CUDA_EMULATED}}});
    const Expected expected = expected_end(kind, 1);
    INFO(fault << " took " << ending.seconds << " s\n" << ending.result.err);
    CHECK(ending.result.exit_code == expected.code);
    CHECK(expected.is_said_in(ending.result.err));
    CHECK(ending.seconds < 18.0);  // as on the CPU
  }
}

TEST_CASE(
    "emulated CUDA: a benchmark needs the peak of a GPU whose name is not known, and a CPU's is measured") {
  const auto bench = [](const Words& more) {
    const Words small{"bench",
                      "step",
                      source_dir() + "/configs/tiny.toml",
                      "model.vocab_size=64",
                      "data.seq_len=16",
                      "train.batch_size=1",
                      "train.micro_batch_size=1",
                      "model.num_hidden_layers=2",
                      "--steps",
                      "1",
                      "--json"};
    return run_program(small + more, with(GRANULE_CUDA_EMULATED));
  };
  const ProgramResult stated = bench(kOnCuda + Words{"--peak-tflops", "2"});
  INFO(stated.err);
  REQUIRE(stated.exit_code == 0);
  const json result = json::parse(stated.out);
  CHECK(result["device"] == "emulated device");
  CHECK(result["fma_ceiling_gflops"] == 2000.0);
  CHECK(result["mfu"].get<double>() > 0.0);
  const ProgramResult unknown = bench(kOnCuda), measured = bench({"--peak-tflops", "2"});
  CHECK(unknown.exit_code == 2);
  CHECK_THAT(unknown.err, Catch::Contains("the peak of this GPU is not known: emulated device"));
  CHECK(measured.exit_code == 2);
  CHECK_THAT(measured.err, Catch::Contains("a CPU's peak is measured"));
}

TEST_CASE("CUDA: a machine without a GPU gets one line and exit code 2") {
  const Workshop shop;
  const ProgramResult result =
      run_program(train_words(shop, "cuda", kOnCuda), with("/nowhere/libgranule_cuda.so"));
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Catch::Contains("train.device = \"cuda\": GRANULE_CUDA_PLUGIN cannot be loaded"));
  const ProgramResult none = run_program(
      train_words(shop, "cuda", kOnCuda),
      {.environment = {{"GRANULE_CUDA_PLUGIN", GRANULE_CUDA_EMULATED}, {"GRANULE_EMULATED_DEVICES", "0"}}});
  CHECK(none.exit_code == 2);
  CHECK_THAT(none.err, Catch::Contains("train.device = \"cuda\": no CUDA-capable device is detected"));
}

#endif
