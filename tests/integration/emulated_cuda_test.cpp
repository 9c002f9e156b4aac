// Whole commands on the emulated CUDA device (tests/cuda_emulation): a run equals that of the CPU within
// rounding, and what the real plug-in says without a GPU.
#include <fstream>

#include "tests/support/emulated_runs.hpp"
#include "tests/support/masters.hpp"

#ifdef GRANULE_CUDA_EMULATED

using namespace granule::test;
using nlohmann::json;

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
        run_program(train_words(shop, "cuda", wide) + kOnCuda, with(device_plugin(GRANULE_CUDA_EMULATED)));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    require_close_runs(shop, 1e-12);
  }
}

TEST_CASE("emulated CUDA: a run in f32 is as close to the CPU's as roundings allow") {
  const Workshop shop;
  REQUIRE(run_program(train_words(shop, "cpu", {})).exit_code == 0);
  const ProgramResult result =
      run_program(train_words(shop, "cuda", kOnCuda), with(device_plugin(GRANULE_CUDA_EMULATED)));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  // No choice flips in these steps. AdamW divides by the root of v, so a small gradient's roundings count in
  // full.
  require_close_runs(shop, 1e-4);
  std::ifstream file(shop.directory / "cuda/metrics.jsonl");
  std::string row;
  std::getline(file, row);
  if (!on_gpu(GRANULE_CUDA_EMULATED))
    CHECK(json::parse(row)["mfu"].is_null());  // the peak of the emulated device is not known
}

TEST_CASE("emulated CUDA: a run in bf16 is as close to the CPU's as its roundings allow") {
  const Workshop shop;
  const Words narrow{"train.dtype=bf16"};
  REQUIRE(run_program(train_words(shop, "cpu", narrow)).exit_code == 0);
  const ProgramResult result =
      run_program(train_words(shop, "cuda", narrow + kOnCuda), with(device_plugin(GRANULE_CUDA_EMULATED)));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  // Those would be the CPU's.
  CHECK_THAT(result.err, !Catch::Contains("bf16 units") && !Catch::Contains("bf16 tiles"));
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
    const ProgramResult result = run_program(words + more, with(device_plugin(GRANULE_CUDA_EMULATED)));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return std::pair{shop.tensors("run", 6), shop.metrics("run")};
  };
  const auto whole = run({});
  require_masters(shop.checkpoint("run", 6));
  std::filesystem::remove_all(shop.checkpoint("run", 6));
  CHECK(run({"--resume"}) == whole);
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
