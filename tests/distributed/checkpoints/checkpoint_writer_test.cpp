#include "distributed/checkpoints/checkpoint_writer.hpp"

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/files.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

const char* const kModel1 = "model-00001-of-00002.safetensors";

}  // namespace

TEST_CASE(
    "checkpoint_writer: the newest are kept, damaged ones not counted among them, and never the just saved "
    "one removed") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {1, 2, 3, 4}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000003", "step-00000004"});
  fs::resize_file(checkpoint_at(dir, 4) / kModel1, 10);
  save_steps(dir, {5}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000003", "step-00000004", "step-00000005"});
  save_steps(dir, {6}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000005", "step-00000006"});
  std::string model = text_of(checkpoint_at(dir, 6) / kModel1);
  model.back() = static_cast<char>(model.back() ^ 1);
  // It is passed over, and the run continues from 5 and saves more often.
  write_text(checkpoint_at(dir, 6) / kModel1, model);
  fs::rename(checkpoint_at(dir, 6), checkpoint_at(dir, 8));
  save_steps(dir, {7}, 1);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000007", "step-00000008"});
}

TEST_CASE("checkpoint_writer: a damaged checkpoint of the same step gives way, a valid one stays") {
  const TempDir dir;
  save_steps(dir, {1, 2});
  CHECK_THROWS_WITH(save_steps(dir, {2}), Catch::Contains("step 2 has been saved before"));
  fs::remove(checkpoint_at(dir, 2) / kModel1);
  save_steps(dir, {2});
  CHECK(ExampleCheckpoint(2, dir.path()).equals(open_checkpoint(checkpoint_at(dir, 2))));
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000001", "step-00000002"});
}

TEST_CASE(
    "checkpoint_writer: a run that goes on from an older checkpoint replaces the newer ones that were passed "
    "over") {
  const TempDir dir;
  save_steps(dir, {1, 2, 3});
  CheckpointWriter writer({dir.path(), 0, kExampleFileBytes});
  writer.resumed_from(1);  // this happens if another rank could not read those of steps 2 and 3
  writer.save(ExampleCheckpoint(2, dir.path()).content());
  writer.save(ExampleCheckpoint(3, dir.path()).content());
  CHECK(ExampleCheckpoint(3, dir.path()).equals(open_checkpoint(checkpoint_at(dir, 3))));
  CHECK_THROWS_WITH(writer.save(ExampleCheckpoint(1, dir.path()).content()),
                    Catch::Contains("step 1 has been saved before"));
}

TEST_CASE("checkpoint_writer: what a killed job left unfinished is swept at the start, links not followed") {
  const TempDir dir;
  save_steps(dir, {1});
  const fs::path checkpoints = dir / "checkpoints";
  fs::create_directories(checkpoints / "tmp.step-00000002" / "deeper");
  write_text(checkpoints / "tmp.step-00000002" / "deeper" / "file", "x");
  fs::rename(checkpoint_at(dir, 1), checkpoints / "trash.step-00000001.0");
  fs::create_directory(dir / "elsewhere");
  write_text(dir / "elsewhere" / "state.json", "precious");
  fs::create_directory_symlink(dir / "elsewhere", checkpoints / "tmp.link");
  write_text(checkpoints / "latest.part-0123abcd", "x");
  save_steps(dir, {3});
  CHECK(names_in(checkpoints) == std::vector<std::string>{"latest", "step-00000003"});
  CHECK(text_of(dir / "elsewhere" / "state.json") == "precious");
}

TEST_CASE(
    "checkpoint_writer: sections that JSON cannot hold and file names that need quoting are refused before "
    "anything is there") {
  const TempDir dir;
  const ExampleCheckpoint example(1, dir.path());
  CheckpointWriter writer({dir.path(), 0, kExampleFileBytes});
  const auto saving = [&](const json& sections, std::vector<fs::path> extra = {}) {
    const CheckpointContent good = example.content();
    writer.save({1, 0, sections, good.model, good.optimizer, std::move(extra)});
  };
  CHECK_THROWS_WITH(saving({{"x", NAN}}), Catch::Contains("NaN"));
  CHECK_THROWS_WITH(saving({{"x", "\xff"}}), Catch::Contains("cannot be written"));
  write_text(dir / "A B", "x");
  CHECK_THROWS_WITH(saving(json::object(), {dir / "A B"}), Catch::Contains("'A B' is not a name"));
  CHECK(names_in(dir / "checkpoints").empty());
  CHECK_THROWS_AS(saving(json::object(), {dir / "absent"}), Error);
  CHECK(names_in(dir / "checkpoints").empty());
  CHECK_NOTHROW(saving(json::object()));
}

TEST_CASE(
    "checkpoint_writer: tensors that are not finite are not committed, and what was saved before stays") {
  const TempDir dir;
  CheckpointWriter writer({dir.path(), 1, kExampleFileBytes});
  writer.save(ExampleCheckpoint(1, dir.path()).content());
  const ExampleCheckpoint second(2, dir.path());
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double broken : {infinity, -infinity, std::nan("")}) {
    std::vector<float> narrow(60, 1.0F);
    std::vector<double> wide(20, -2.0);
    narrow.back() = static_cast<float>(broken);
    wide.back() = broken;
    std::vector<TensorToSave> f32{
        tensor_of_bytes({"exp_avg.w", DType::f32, {20, 3}}, std::as_bytes(std::span(narrow)))};
    std::vector<TensorToSave> f64{tensor_of_bytes({"m.b", DType::f64, {20}}, std::as_bytes(std::span(wide)))};
    CheckpointContent moments = second.content(), weights = second.content();
    moments.optimizer = f32;
    weights.model = f64;
    for (const CheckpointContent& content : {moments, weights}) {
      try {
        writer.save(content);
        FAIL("it was saved");
      } catch (const Error& error) {
        CHECK(error.code() == ExitCode::non_finite);
        CHECK_THAT(error.what(), Catch::Contains("is not finite after step 2"));
      }
      CHECK(names_in(dir / "checkpoints") == std::vector<std::string>{"latest", checkpoint_name(1)});
    }
  }
  writer.save(second.content());  // this works for the same step if it is sound
  CHECK(second.equals(open_checkpoint(checkpoint_at(dir, 2))));
}
