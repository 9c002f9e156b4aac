// Steps that a run skips: steps with values that are not finite, and spikes. The damage is real. One word has
// an embedding of zeros, which a norm without an epsilon divides by their size. So a step that reads this
// word has no finite loss. Every weight is finite.
#include <cstring>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::int32_t kPoison = Workshop::kVocabulary - 1;

/// A pattern without the poisonous word. It is long enough for `steps` steps.
std::vector<std::int32_t> clean_text(std::int64_t steps) {
  return patterned_documents(1, steps * Workshop::kStepTokens + 40, kPoison)[0];
}

/// A position in the second sequence of a step, not at its edges.
std::size_t inside(std::int64_t step) {
  return static_cast<std::size_t>((step - 1) * Workshop::kStepTokens + 24);
}

const std::vector<std::string> kEveryStep{"data.shuffle=false", "checkpoint.every=1", "eval.every=0",
                                          "model.rms_norm_eps=0"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Sets the embedding of the poisonous word in a Hugging Face directory with f32 tensors.
void poison(const fs::path& directory, float value) {
  const fs::path file = directory / "model.safetensors";
  std::string bytes = text_of(file);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const json tensor = json::parse(bytes.substr(8, header)).at("model.embed_tokens.weight");
  REQUIRE(tensor.at("dtype") == "F32");
  const auto width = tensor.at("shape")[1].get<std::size_t>();
  const auto begin = 8 + header + tensor.at("data_offsets")[0].get<std::uint64_t>() + kPoison * width * 4;
  for (std::size_t i = 0; i < width; ++i) std::memcpy(bytes.data() + begin + 4 * i, &value, 4);
  write_text(file, bytes);
}

/// Makes a model with the poisonous embedding at shop.path("poisoned").
void make_poisoned_model(const Workshop& shop, float value = 0.0F) {
  REQUIRE(shop.train("made", {"train.steps=1"}).exit_code == 0);
  const ProgramResult exported = run_program(
      {"export", shop.path("made"), "--format", "hf", "--out", shop.path("poisoned"), "--dtype", "f32"});
  INFO(exported.err);
  REQUIRE(exported.exit_code == 0);
  poison(shop.directory / "poisoned", value);
}

json state_of(const Workshop& shop, const char* run, std::int64_t step) {
  return json::parse(text_of(shop.checkpoint(run, step) / "state.json"));
}

/// What stays the same however often a run was stopped.
json without_provenance(json state) {
  state["sections"].erase("provenance");
  state.erase("checksum");
  return state;
}

}  // namespace

TEST_CASE("a step that is not finite is skipped, nothing but the data and the schedule goes on") {
  auto text = clean_text(12);
  text[inside(7)] = kPoison;
  const Workshop shop(text);
  make_poisoned_model(shop);
  for (const std::string dtype : {"f32", "f64"}) {
    const std::string out = "run-" + dtype;
    const ProgramResult result = shop.train(
        out.c_str(), with(kEveryStep, {"train.steps=12", "checkpoint.keep=0", "log.every=5",
                                       "train.dtype=" + dtype, "--init-from", shop.path("poisoned")}));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(shop.tensors(out.c_str(), 7) == shop.tensors(out.c_str(), 6));
    CHECK(shop.tensors(out.c_str(), 8) != shop.tensors(out.c_str(), 7));
    const json before = state_of(shop, out.c_str(), 6), after = state_of(shop, out.c_str(), 7);
    CHECK(before["sections"]["optimizer"] == after["sections"]["optimizer"]);
    CHECK(after["consumed_samples"] == 28);
    CHECK(after["sections"]["step_guard"]["skips_in_row"] == 1);
    CHECK(state_of(shop, out.c_str(), 12)["sections"]["optimizer"]["steps"] == 11);
    const auto rows = shop.metrics(out.c_str());
    REQUIRE(rows.size() == 4);  // 5, 7, 10 and 12, because a skipped step is always logged
    CHECK(rows[1]["step"] == 7);
    CHECK(rows[1]["skipped"] == true);
    CHECK(rows[1]["ce"].is_null());
    CHECK(rows[1]["grad_norm"].is_null());
    for (const std::size_t other : {0U, 2U, 3U}) {
      CHECK(rows[other]["skipped"] == false);
      CHECK(rows[other]["ce"].is_number());
      CHECK(rows[other]["skips"] == (other == 0 ? 0 : 1));
    }
    CHECK(text_of(shop.directory / out / "metrics.jsonl").find("nan") == std::string::npos);
    CHECK(text_of(shop.directory / out / "log.txt").find("skipped: not finite") != std::string::npos);
    CHECK(fs::file_size(shop.directory / out / "router.bin") == 4096 + 12 * 8 * 4);
  }
}

TEST_CASE("max_skips skips in a row end the run with exit code 77, across a restart too") {
  auto text = clean_text(14);
  for (std::int64_t step = 8; step <= 14; ++step) text[inside(step)] = kPoison;
  const Workshop shop(text);
  make_poisoned_model(shop);
  const auto arguments =
      with(kEveryStep, {"train.steps=14", "train.max_skips=2", "--init-from", shop.path("poisoned")});
  const ProgramResult stopped = shop.train("run", arguments);
  INFO(stopped.err);
  CHECK(stopped.exit_code == 77);
  CHECK(stopped.err.find("granule: error: 2 steps in a row were skipped") != std::string::npos);
  CHECK(stopped.err.find("step-00000008") != std::string::npos);
  CHECK(shop.metrics("run").size() == 9);
  CHECK(!fs::exists(shop.checkpoint("run", 9)));
  CHECK(shop.tensors("run", 8) == shop.tensors("run", 7));
  const ProgramResult again = shop.train("run", with(arguments, {"--resume"}));
  CHECK(again.exit_code == 77);
  CHECK(shop.metrics("run").size() == 9);
  CHECK(fs::exists(shop.checkpoint("run", 8)));
  const ProgramResult strict =
      shop.train("strict", {"data.shuffle=false", "model.rms_norm_eps=0", "train.max_skips=0", "--init-from",
                            shop.path("poisoned")});
  CHECK(strict.exit_code == 77);
  CHECK(strict.err.find("there is no checkpoint") != std::string::npos);
  CHECK(shop.metrics("strict").size() == 8);
}

TEST_CASE("a checkpoint that would not be finite ends the run with exit code 77") {
  // The poisonous word is not in the text, so the loss is finite. Decay makes its embedding overflow.
  const Workshop shop(clean_text(12));
  make_poisoned_model(shop, 1e30F);
  const ProgramResult result = shop.train(
      "run", {"eval.every=0", "train.steps=12", "checkpoint.every=1", "optim.lr=1e6",
              "optim.weight_decay=1e6", "schedule.warmup=0", "--init-from", shop.path("poisoned")});
  INFO(result.err);
  CHECK(result.exit_code == 77);
  CHECK(result.err.find("granule: error: 'model.embed_tokens.weight' is not finite after step 1 ") !=
        std::string::npos);
  CHECK(shop.metrics("run").size() == 1);
  CHECK(fs::is_empty(shop.directory / "run/checkpoints"));
}

TEST_CASE("a validation loss that is not finite is warned of, what is saved is finite") {
  const Workshop shop(clean_text(12));  // the validation split has the poisonous word
  make_poisoned_model(shop);
  const ProgramResult result = shop.train("run", {"model.rms_norm_eps=0", "train.steps=12", "eval.every=6",
                                                  "--init-from", shop.path("poisoned")});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(result.err.find("\nwarning: the validation loss is not finite: the run has diverged") !=
        std::string::npos);
  CHECK(shop.metrics("run").back()["val_ce"].is_null());
  CHECK(fs::exists(shop.checkpoint("run", 12)));
}

TEST_CASE("a spike is skipped where spike_sigma asks for it, bit for bit the same after a resume") {
  auto text = clean_text(220);
  for (std::size_t i = 0; i < 40; ++i) text[inside(201) + i - 20] = static_cast<std::int32_t>(i * i * 7 % 58);
  const Workshop shop(text);
  const std::vector<std::string> arguments{"data.shuffle=false", "train.steps=220", "eval.every=0"};
  const auto guarded = with(arguments, {"train.spike_sigma=6"});
  REQUIRE(shop.train("plain", arguments).exit_code == 0);
  const ProgramResult straight = shop.train("straight", guarded);
  INFO(straight.err);
  REQUIRE(straight.exit_code == 0);
  const auto plain = shop.metrics("plain"), rows = shop.metrics("straight");
  for (std::size_t step = 1; step <= 220; ++step) {
    CAPTURE(step);
    CHECK(rows[step - 1]["skipped"] == (step == 201));
    CHECK_FALSE(plain[step - 1]["skipped"]);
    if (step <= 201) CHECK(rows[step - 1]["ce"] == plain[step - 1]["ce"]);
  }
  CHECK(rows[200]["ce"].is_number());
  CHECK(straight.err.find("skipped: a spike") != std::string::npos);
  const json window = state_of(shop, "straight", 220)["sections"]["step_guard"]["losses"];
  CHECK(window.size() == 128);
  CHECK(std::find(window.begin(), window.end(), rows[200]["ce"]) == window.end());
  fs::copy(shop.directory / "straight", shop.directory / "halves", fs::copy_options::recursive);
  fs::remove_all(shop.checkpoint("halves", 220));
  fs::remove_all(shop.checkpoint("halves", 200));
  REQUIRE(shop.train("halves", with(guarded, {"--resume"})).exit_code == 0);
  CHECK(shop.metrics("halves") == rows);
  CHECK(shop.tensors("halves", 220) == shop.tensors("straight", 220));
  CHECK(without_provenance(state_of(shop, "halves", 220)) ==
        without_provenance(state_of(shop, "straight", 220)));
}
