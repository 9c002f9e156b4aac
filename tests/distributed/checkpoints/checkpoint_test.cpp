#include "distributed/checkpoints/checkpoint.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/files.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using nlohmann::json;

TEST_CASE("checkpoint: a checkpoint comes back bit for bit, from the names and shapes to the sections") {
  const TempDir dir;
  save_steps(dir, {1000});
  CHECK(names_in(checkpoint_at(dir, 1000)) ==
        std::vector<std::string>{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                                 "optim-00001-of-00001.safetensors", "state.json", "tokenizer.model"});
  CHECK(names_in(dir / "checkpoints") == std::vector<std::string>{"latest", "step-00001000"});
  CHECK(text_of(dir / "checkpoints" / "latest") == "step-00001000\n");
  CHECK(is_checkpoint(checkpoint_at(dir, 1000)));
  CHECK(ExampleCheckpoint(1000, dir.path()).equals(open_checkpoint(checkpoint_at(dir, 1000))));
  CHECK_FALSE(ExampleCheckpoint(1001, dir.path()).equals(open_checkpoint(checkpoint_at(dir, 1000))));
}

TEST_CASE("checkpoint: the newest valid checkpoint is found whatever else lies there") {
  const TempDir dir;
  CHECK_FALSE(find_newest_valid(dir.path()).checkpoint);
  save_steps(dir, {9, 10, 100'000'000});
  const fs::path checkpoints = dir / "checkpoints";
  write_text(checkpoints / "latest", "step-00000009\n");  // it is only a hint
  fs::create_directory(checkpoints / "step-1e9");
  fs::create_directory(checkpoints / "step-999999999x");
  fs::create_directory(checkpoints / "step-000000500000000");  // a step is not written like this
  fs::rename(checkpoint_at(dir, 9), checkpoints / "tmp.step-00000099");
  CHECK(find_newest_valid(dir.path()).checkpoint->step() == 100'000'000);
  CHECK(find_newest_valid(dir.path()).passed_over.empty());
  fs::rename(checkpoint_at(dir, 100'000'000),
             // The name and the manifest have different steps.
             checkpoint_at(dir, 300'000'000));
  const FoundCheckpoint found = find_newest_valid(dir.path());
  CHECK(found.checkpoint->step() == 10);
  CHECK_THAT(found.passed_over.at(0).reason, Catch::Contains("the manifest is of step 100000000"));
}

TEST_CASE(
    "checkpoint: a checkpoint without optimizer state is one, and a run that is not there has no "
    "checkpoints") {
  const TempDir dir;
  const ExampleCheckpoint example(1, dir.path());
  CheckpointWriter writer({dir.path(), 0, kExampleFileBytes});
  const json sections = json::object();
  writer.save({1, 0, sections, example.content().model, {}});
  CHECK(open_checkpoint(checkpoint_at(dir, 1)).optimizer().names().empty());
  CHECK_FALSE(find_newest_valid(dir / "absent").checkpoint);
  CHECK_THROWS_WITH(CheckpointWriter({dir / "absent"}), Catch::Contains("cannot create the directory"));
}
