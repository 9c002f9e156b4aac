// Whole commands on the mirror device. Whatever touches device memory past the border ends them with SIGSEGV.
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const Words kOnMirror{"train.device=cuda"};
const ProgramOptions kWithMirror{.environment = {{"GRANULE_CUDA_PLUGIN", GRANULE_MIRROR}}};

ProgramResult on_mirror(const Words& words) {
  ProgramResult result = run_program(words + kOnMirror, kWithMirror);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

Words train_words(const Workshop& shop, const char* out, const Words& more) {
  return Words{"train", shop.path("run.toml"), "--out", shop.path(out)} + more;
}

void require_same_run(const Workshop& shop, const char* one, const char* other) {
  CHECK(shop.metrics(one) == shop.metrics(other));
  CHECK(shop.tensors(one, 40) == shop.tensors(other, 40));
  CHECK(text_of(shop.directory / one / "router.bin") == text_of(shop.directory / other / "router.bin"));
}

}  // namespace

TEST_CASE("mirror: a run has the same bits as on the CPU, for every router, loss and kind of recomputation") {
  const std::vector<Words> kinds{
      {},
      {"train.dtype=f64", "train.recompute=full"},
      {"train.dtype=bf16", "model.attention_bias=true", "data.document_mask=true"},
      {"moe.scoring_func=sigmoid", "moe.bias_update_speed=0.01", "moe.norm_topk_prob=true", "moe.n_group=4",
       "moe.topk_group=2", "train.recompute=moe"},
      {"moe.router=hash", "moe.capacity_factor=1.0"},
      {"moe.capacity_factor=1.0", "moe.device_groups=2", "moe.device_loss_alpha=0.01",
       "moe.z_loss_alpha=0.01", "data.document_mask=true", "model.attention_bias=true",
       "model.tie_word_embeddings=true"},
  };
  for (const Words& kind : kinds) {
    CAPTURE(kind);
    const Workshop shop;
    REQUIRE(run_program(train_words(shop, "cpu", kind)).exit_code == 0);
    static_cast<void>(on_mirror(train_words(shop, "mirror", kind)));
    require_same_run(shop, "cpu", "mirror");
  }
}

TEST_CASE("mirror: 40 steps are 20 steps, a restart, and 20 steps, with the bits of the CPU") {
  const Workshop shop;
  REQUIRE(shop.train("cpu").exit_code == 0);
  static_cast<void>(on_mirror(train_words(shop, "mirror", {})));
  fs::remove_all(shop.directory / "mirror/checkpoints/step-00000040");
  static_cast<void>(on_mirror(train_words(shop, "mirror", {"--resume"})));
  require_same_run(shop, "cpu", "mirror");
}

TEST_CASE("mirror: evaluation and generation say what they say on the CPU") {
  const SmallRun& small = small_run();
  const Words eval{"eval", small.run.string(), "--data", small.data.string()};
  CHECK(on_mirror(eval).out == run_program(eval).out);
  // The same without some experts, and told by expert.
  const TempDir files;
  const Words ablated = eval + Words{"--mask-top-experts", "1/8", "--no-shared-experts", "--by-expert"};
  const Words here = ablated + Words{(files / "mirror.json").string()},
              there = ablated + Words{(files / "cpu.json").string()};
  CHECK(on_mirror(here).out == run_program(there).out);
  CHECK(text_of(files / "mirror.json") == text_of(files / "cpu.json"));
  // Generation takes its device from the run.
  const TempDir folder;
  const std::string run = (folder / "run").string();
  static_cast<void>(on_mirror({"train", small.config.string(), "--out", run}));
  const auto text_of_model = [](const std::string& model) {
    const ProgramResult result = run_program(
        {"generate", model, "--prompt", "the ", "--max-tokens", "20", "--seed", "1"}, kWithMirror);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result.out;
  };
  CHECK(text_of_model(run) == text_of_model(small.run.string()));
}

TEST_CASE("mirror: ranks that share experts and ZeRO parts have the bits of the CPU") {
  for (const Words& layout : {Words{"parallel.zero=3", "parallel.ep=2"}, Words{"parallel.zero=1"},
                              Words{"parallel.zero=2", "parallel.ep=2", "parallel.receive_limit=20"}}) {
    CAPTURE(layout);
    const Workshop shop;
    const auto ranks = [&](const char* out, const Words& more, const ProgramOptions& options) {
      const ProgramResult result =
          under_mpirun(2, Words{program_path()} + train_words(shop, out, layout + more), options);
      INFO(result.err);
      REQUIRE(result.exit_code == 0);
    };
    ranks("cpu", {}, {});
    ranks("mirror", kOnMirror, kWithMirror);
    require_same_run(shop, "cpu", "mirror");
  }
}

TEST_CASE("mirror: verify certifies layouts there") {
  const Workshop shop;
  const ProgramResult result =
      under_mpirun(2, Words{program_path(), "verify", shop.path("run.toml")} + kOnMirror, kWithMirror);
  INFO(result.err);
  CHECK(result.exit_code == 0);
}
