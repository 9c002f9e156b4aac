#include "distributed/checkpoints/checkpoint.hpp"

#include <cmath>
#include <fstream>
#include <limits>
#include <random>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::ExampleCheckpoint;
using granule::test::TempDir;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

void save_steps(const TempDir& dir, std::initializer_list<std::int64_t> steps, std::int64_t keep = 0) {
  CheckpointWriter writer({dir.path(), keep, test::kExampleFileBytes});
  for (const std::int64_t step : steps) writer.save(ExampleCheckpoint(step, dir.path()).content());
}

fs::path at_step(const TempDir& dir, std::int64_t step) {
  return dir / "checkpoints" / checkpoint_name(step);
}

std::string content(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {(std::istreambuf_iterator<char>(stream)), {}};
}

void overwrite(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string refusal_of(const fs::path& checkpoint) {
  try {
    (void)open_checkpoint(checkpoint);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "accepted";
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

/// Changes the manifest and gives it the correct checksum, as an attacker or another program would.
void forge(const fs::path& checkpoint, const std::function<void(nlohmann::ordered_json&)>& change) {
  auto document = nlohmann::ordered_json::parse(content(checkpoint / "state.json"));
  document.erase("checksum");
  change(document);
  std::string text = document.dump(2);
  text.resize(text.size() - 2);
  text += fmt::format(",\n  \"checksum\": \"{}\"\n}}\n", xxh3_of(std::as_bytes(std::span(text))));
  overwrite(checkpoint / "state.json", text);
}

void flip(std::string& text, std::size_t bit) {
  text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
}

const char* const kModel1 = "model-00001-of-00002.safetensors";
const char* const kModel2 = "model-00002-of-00002.safetensors";
const char* const kOptim = "optim-00001-of-00001.safetensors";

using Document = nlohmann::ordered_json;

struct Damage {
  const char* name;
  std::function<void(const fs::path&)> inflict;
  const char* message;
};

Damage forged(const char* name, std::function<void(Document&)> change, const char* message) {
  return {name, [change = std::move(change)](const fs::path& d) { forge(d, change); }, message};
}

std::vector<Damage> damages_of_files() {
  return {
      {"no manifest", [](auto& d) { fs::remove(d / "state.json"); }, "state.json"},
      {"empty manifest", [](auto& d) { overwrite(d / "state.json", ""); }, "the manifest is cut off"},
      {"manifest cut off", [](auto& d) { fs::resize_file(d / "state.json", 200); }, "own checksum differs"},
      {"final newline gone",
       [](auto& d) { fs::resize_file(d / "state.json", fs::file_size(d / "state.json") - 1); },
       "own checksum differs"},
      {"checksum in upper case",
       [](auto& d) {
         std::string text = content(d / "state.json");
         const std::size_t at = text.find_first_of("abcdef", text.size() - 20);
         if (at == std::string::npos) return overwrite(d / "state.json", text + "\n");
         text[at] = static_cast<char>(text[at] - 'a' + 'A');
         overwrite(d / "state.json", text);
       },
       "own checksum differs"},
      {"manifest is a directory",
       [](auto& d) {
         fs::remove(d / "state.json");
         fs::create_directory(d / "state.json");
       },
       "not a regular file"},
      {"missing model file", [](auto& d) { fs::remove(d / kModel2); }, "model-00002-of-00002.safetensors"},
      {"missing optimizer file", [](auto& d) { fs::remove(d / kOptim); }, "optim-00001-of-00001.safetensors"},
      {"missing tokenizer", [](auto& d) { fs::remove(d / "tokenizer.model"); }, "tokenizer.model"},
      {"a file more", [](auto& d) { fs::copy_file(d / kOptim, d / "optim-00002-of-00002.safetensors"); },
       "the manifest does not name this file"},
      {"truncated file", [](auto& d) { fs::resize_file(d / kModel1, fs::file_size(d / kModel1) - 1); },
       "the manifest states"},
      {"empty file", [](auto& d) { fs::resize_file(d / kModel1, 0); }, "the file has 0 bytes"},
      {"byte appended", [](auto& d) { overwrite(d / kOptim, content(d / kOptim) + "x"); },
       "the manifest states"},
      {"file of another step",
       [](auto& d) {
         fs::copy_file(d.parent_path() / "step-00000001" / kModel1, d / kModel1,
                       fs::copy_options::overwrite_existing);
       },
       "the file has checksum"},
      {"manifest of another step",
       [](auto& d) {
         fs::copy_file(d.parent_path() / "step-00000001" / "state.json", d / "state.json",
                       fs::copy_options::overwrite_existing);
       },
       "the file has checksum"},
      {"tokenizer changed", [](auto& d) { overwrite(d / "tokenizer.model", "tHe tokens"); },
       "the file has checksum"},
  };
}

std::vector<Damage> damages_of_the_manifest() {
  return {
      forged(
          "not an object", [](Document& m) { m = Document::array({1}); }, "state.json"),
      forged(
          "another format", [](Document& m) { m["format"] = "x"; }, "format is not granule-checkpoint"),
      forged(
          "no format", [](Document& m) { m.erase("format"); }, "format is not granule-checkpoint"),
      forged(
          "no version", [](Document& m) { m.erase("version"); }, "has no version"),
      forged(
          "version 0", [](Document& m) { m["version"] = 0; }, "there is no version 0"),
      forged(
          "version as text", [](Document& m) { m["version"] = "1"; }, "version is no count"),
      forged(
          "newer version", [](Document& m) { m["version"] = 2; },
          "checkpoint of version 2, this program reads version 1"),
      forged(
          "no step", [](Document& m) { m.erase("step"); }, "the manifest has no step"),
      forged(
          "negative step", [](Document& m) { m["step"] = -1; }, "step is no count"),
      forged(
          "fractional step", [](Document& m) { m["step"] = 1.5; }, "step is no count"),
      forged(
          "step 2^63", [](Document& m) { m["step"] = std::uint64_t{1} << 63; }, "step is no count"),
      forged(
          "samples as text", [](Document& m) { m["consumed_samples"] = "9"; },
          "consumed_samples is no count"),
      forged(
          "no sections", [](Document& m) { m.erase("sections"); }, "the manifest has no sections"),
      forged(
          "sections as a list",
          [](Document& m) {
            m["sections"] = {1, 2};
          },
          "sections is no object"),
      forged(
          "unknown key", [](Document& m) { m["more"] = 1; }, "unknown keys"),
      forged(
          "files as an object", [](Document& m) { m["files"] = Document::object(); }, "files is no list"),
      forged(
          "file without size", [](Document& m) { m["files"][0].erase("size"); }, "the manifest has no size"),
      forged(
          "file as text", [](Document& m) { m["files"][0] = "x"; }, "a value that should be an object"),
      forged(
          "file of negative size", [](Document& m) { m["files"][0]["size"] = -1; }, "size is no count"),
      forged(
          "file elsewhere", [](Document& m) { m["files"][0]["name"] = "../x"; }, "not allowed"),
      forged(
          "absolute file", [](Document& m) { m["files"][0]["name"] = "/etc/passwd"; }, "not allowed"),
      forged(
          "file name in upper case", [](Document& m) { m["files"][0]["name"] = "Model"; }, "not allowed"),
      forged(
          "empty file name", [](Document& m) { m["files"][0]["name"] = ""; }, "not allowed"),
      forged(
          "dots as file name", [](Document& m) { m["files"][0]["name"] = ".."; }, "not allowed"),
      forged(
          "manifest as a file", [](Document& m) { m["files"][0]["name"] = "state.json"; }, "not allowed"),
      forged(
          "file twice", [](Document& m) { m["files"][1] = m["files"][0]; }, "names a file twice"),
      forged(
          "checksum of a file too short", [](Document& m) { m["files"][0]["xxh3"] = "12"; },
          "a checksum that is not valid"),
      forged(
          "checksum of a file as number", [](Document& m) { m["files"][0]["xxh3"] = 12; },
          "a checksum that is not valid"),
      forged(
          "checksum of a file wrong", [](Document& m) { m["files"][0]["xxh3"] = "0123456789abcdef"; },
          "the manifest states 0123456789abcdef"),
  };
}

}  // namespace

TEST_CASE("a checkpoint comes back bit for bit, from the names and shapes to the sections") {
  const TempDir dir;
  save_steps(dir, {1000});
  CHECK(names_in(at_step(dir, 1000)) ==
        std::vector<std::string>{kModel1, kModel2, kOptim, "state.json", "tokenizer.model"});
  CHECK(names_in(dir / "checkpoints") == std::vector<std::string>{"latest", "step-00001000"});
  CHECK(content(dir / "checkpoints" / "latest") == "step-00001000\n");
  CHECK(is_checkpoint(at_step(dir, 1000)));
  CHECK(ExampleCheckpoint(1000, dir.path()).equals(open_checkpoint(at_step(dir, 1000))));
  CHECK_FALSE(ExampleCheckpoint(1001, dir.path()).equals(open_checkpoint(at_step(dir, 1000))));
}

TEST_CASE("every damage of a checkpoint is refused with its own reason and passed over for the one before") {
  std::vector<Damage> damages = damages_of_files();
  for (Damage& damage : damages_of_the_manifest()) damages.push_back(std::move(damage));
  for (const Damage& damage : damages) {
    INFO(damage.name);
    const TempDir dir(TempDir::Where::memory);
    save_steps(dir, {1, 2});
    REQUIRE(refusal_of(at_step(dir, 2)) == "accepted");
    damage.inflict(at_step(dir, 2));
    CHECK_THAT(refusal_of(at_step(dir, 2)),
               Catch::Contains(damage.message) && Catch::Contains(at_step(dir, 2).string()));
    if (std::string(damage.name) == "newer version") {
      CHECK_THROWS_AS(find_newest_valid(dir.path()), NewerCheckpoint);
      continue;
    }
    const FoundCheckpoint found = find_newest_valid(dir.path());
    REQUIRE(found.checkpoint);
    CHECK(ExampleCheckpoint(1, dir.path()).equals(*found.checkpoint));
    REQUIRE(found.passed_over.size() == 1);
    CHECK(found.passed_over[0].path == at_step(dir, 2));
    CHECK_THAT(found.passed_over[0].reason, Catch::Contains(damage.message));
  }
}

TEST_CASE("any flipped bit, any missing end and any byte more of a manifest is found") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {7});
  const std::string text = content(at_step(dir, 7) / "state.json");
  REQUIRE_NOTHROW(parse_manifest(text, "x"));
  int missed = 0;
  const auto miss = [&](const std::string& changed) {
    try {
      (void)parse_manifest(changed, "x");
      ++missed;
    } catch (const Error&) {
    }
  };
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string changed = text;
    flip(changed, bit);
    miss(changed);
  }
  for (std::size_t size = 0; size < text.size(); ++size) miss(text.substr(0, size));
  for (const char* more : {" ", "\n", "\t", "}"}) miss(text + more);
  CHECK(missed == 0);
}

TEST_CASE("random flipped bits in every file of a checkpoint are found, and the file is named") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {7});
  std::mt19937 random(3);
  for (const std::string& name : names_in(at_step(dir, 7))) {
    const fs::path path = at_step(dir, 7) / name;
    const std::string text = content(path);
    for (int i = 0; i < 100; ++i) {
      std::string changed = text;
      flip(changed, random() % (8 * text.size()));
      overwrite(path, changed);
      REQUIRE_THAT(refusal_of(at_step(dir, 7)), Catch::Contains(name));
    }
    overwrite(path, text);
  }
  CHECK(refusal_of(at_step(dir, 7)) == "accepted");
}

TEST_CASE("the newest valid checkpoint is found whatever else lies there") {
  const TempDir dir;
  CHECK_FALSE(find_newest_valid(dir.path()).checkpoint);
  save_steps(dir, {9, 10, 100'000'000});
  const fs::path checkpoints = dir / "checkpoints";
  overwrite(checkpoints / "latest", "step-00000009\n");  // it is only a hint
  fs::create_directory(checkpoints / "step-1e9");
  fs::create_directory(checkpoints / "step-999999999x");
  fs::create_directory(checkpoints / "step-000000500000000");  // a step is not written like this
  fs::rename(at_step(dir, 9), checkpoints / "tmp.step-00000099");
  CHECK(find_newest_valid(dir.path()).checkpoint->step() == 100'000'000);
  CHECK(find_newest_valid(dir.path()).passed_over.empty());
  fs::rename(at_step(dir, 100'000'000),
             // The name and the manifest have different steps.
             at_step(dir, 300'000'000));
  const FoundCheckpoint found = find_newest_valid(dir.path());
  CHECK(found.checkpoint->step() == 10);
  CHECK_THAT(found.passed_over.at(0).reason, Catch::Contains("the manifest is of step 100000000"));
}

TEST_CASE("the newest are kept, damaged ones not counted among them, and never the just saved one removed") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {1, 2, 3, 4}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000003", "step-00000004"});
  fs::resize_file(at_step(dir, 4) / kModel1, 10);
  save_steps(dir, {5}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000003", "step-00000004", "step-00000005"});
  save_steps(dir, {6}, 2);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000005", "step-00000006"});
  std::string model = content(at_step(dir, 6) / kModel1);
  flip(model, 8 * model.size() - 1);
  // It is passed over, and the run continues from 5 and saves more often.
  overwrite(at_step(dir, 6) / kModel1, model);
  fs::rename(at_step(dir, 6), at_step(dir, 8));
  save_steps(dir, {7}, 1);
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000007", "step-00000008"});
}

TEST_CASE("a damaged checkpoint of the same step gives way, a valid one stays") {
  const TempDir dir;
  save_steps(dir, {1, 2});
  CHECK_THROWS_WITH(save_steps(dir, {2}), Catch::Contains("step 2 has been saved before"));
  fs::remove(at_step(dir, 2) / kModel1);
  save_steps(dir, {2});
  CHECK(ExampleCheckpoint(2, dir.path()).equals(open_checkpoint(at_step(dir, 2))));
  CHECK(names_in(dir / "checkpoints") ==
        std::vector<std::string>{"latest", "step-00000001", "step-00000002"});
}

TEST_CASE("a run that goes on from an older checkpoint replaces the newer ones that were passed over") {
  const TempDir dir;
  save_steps(dir, {1, 2, 3});
  CheckpointWriter writer({dir.path(), 0, test::kExampleFileBytes});
  writer.resumed_from(1);  // this happens if another rank could not read those of steps 2 and 3
  writer.save(ExampleCheckpoint(2, dir.path()).content());
  writer.save(ExampleCheckpoint(3, dir.path()).content());
  CHECK(ExampleCheckpoint(3, dir.path()).equals(open_checkpoint(at_step(dir, 3))));
  CHECK_THROWS_WITH(writer.save(ExampleCheckpoint(1, dir.path()).content()),
                    Catch::Contains("step 1 has been saved before"));
}

TEST_CASE("what a killed job left unfinished is swept at the start, links not followed") {
  const TempDir dir;
  save_steps(dir, {1});
  const fs::path checkpoints = dir / "checkpoints";
  fs::create_directories(checkpoints / "tmp.step-00000002" / "deeper");
  overwrite(checkpoints / "tmp.step-00000002" / "deeper" / "file", "x");
  fs::rename(at_step(dir, 1), checkpoints / "trash.step-00000001.0");
  fs::create_directory(dir / "elsewhere");
  overwrite(dir / "elsewhere" / "state.json", "precious");
  fs::create_directory_symlink(dir / "elsewhere", checkpoints / "tmp.link");
  overwrite(checkpoints / "latest.part-0123abcd", "x");
  save_steps(dir, {3});
  CHECK(names_in(checkpoints) == std::vector<std::string>{"latest", "step-00000003"});
  CHECK(content(dir / "elsewhere" / "state.json") == "precious");
}

TEST_CASE(
    "sections that JSON cannot hold and file names that need quoting are refused before anything is there") {
  const TempDir dir;
  const ExampleCheckpoint example(1, dir.path());
  CheckpointWriter writer({dir.path(), 0, test::kExampleFileBytes});
  const auto saving = [&](const json& sections, std::vector<fs::path> extra = {}) {
    const CheckpointContent good = example.content();
    writer.save({1, 0, sections, good.model, good.optimizer, std::move(extra)});
  };
  CHECK_THROWS_WITH(saving({{"x", NAN}}), Catch::Contains("NaN"));
  CHECK_THROWS_WITH(saving({{"x", "\xff"}}), Catch::Contains("cannot be written"));
  overwrite(dir / "A B", "x");
  CHECK_THROWS_WITH(saving(json::object(), {dir / "A B"}), Catch::Contains("'A B' is not a name"));
  CHECK(names_in(dir / "checkpoints").empty());
  CHECK_THROWS_AS(saving(json::object(), {dir / "absent"}), Error);
  CHECK(names_in(dir / "checkpoints").empty());
  CHECK_NOTHROW(saving(json::object()));
}

TEST_CASE("a checkpoint without optimizer state is one, and a run that is not there has no checkpoints") {
  const TempDir dir;
  const ExampleCheckpoint example(1, dir.path());
  CheckpointWriter writer({dir.path(), 0, test::kExampleFileBytes});
  const json sections = json::object();
  writer.save({1, 0, sections, example.content().model, {}});
  CHECK(open_checkpoint(at_step(dir, 1)).optimizer().names().empty());
  CHECK_FALSE(find_newest_valid(dir / "absent").checkpoint);
  CHECK_THROWS_WITH(CheckpointWriter({dir / "absent"}), Catch::Contains("cannot create the directory"));
}

namespace {

/// A disk with this much free space.
struct SmallDisk final : Disk {
  explicit SmallDisk(unsigned long blocks) : free_blocks(blocks) {}
  unsigned long free_blocks;
  int statvfs(const char* path, struct ::statvfs* status) override {
    CHECK(fs::exists(path));
    *status = {};
    status->f_frsize = 1000;
    status->f_blocks = 1'000'000;
    status->f_bavail = free_blocks;
    return 0;
  }
};

/// A file system that does not tell its free space.
struct SilentDisk final : Disk {
  bool fails;
  explicit SilentDisk(bool fails_at_all) : fails(fails_at_all) {}
  int statvfs(const char*, struct ::statvfs* status) override {
    *status = {};
    return fails ? -1 : 0;
  }
};

/// Whether a run may save `saves` checkpoints of 2000 bytes on a disk with that many free bytes.
bool fits(const fs::path& run, std::int64_t free, std::int64_t keep, std::int64_t saves) {
  SmallDisk disk(static_cast<unsigned long>(free / 1000));
  try {
    require_room(run, 2000, keep, saves, disk);
    return true;
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    CHECK_THAT(error.what(), Catch::Contains("no room for checkpoints") && Catch::Contains(run.string()));
    return false;
  }
}

}  // namespace

TEST_CASE("tensors that are not finite are not committed, and what was saved before stays") {
  const TempDir dir;
  CheckpointWriter writer({dir.path(), 1, test::kExampleFileBytes});
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
  CHECK(second.equals(open_checkpoint(at_step(dir, 2))));
}

TEST_CASE("a run needs room for one checkpoint more than it keeps, or for all it will save") {
  const TempDir dir;
  const fs::path fresh = dir / "a/run/that/is/not/there";
  CHECK(fits(fresh, 8000, 3, 100));
  CHECK_FALSE(fits(fresh, 7000, 3, 100));
  CHECK(fits(fresh, 4000, 3, 2));  // it saves only two
  CHECK_FALSE(fits(fresh, 3000, 3, 2));
  CHECK(fits(fresh, 2000, 0, 100));  // it keeps all, and what a user moves away is not known
  CHECK_FALSE(fits(fresh, 1000, 0, 100));
  CHECK(fits(fresh, 0, 3, 0));  // nothing is left to do
  CHECK_FALSE(fits(fresh, 8000, 1'000'000'000'000, 1'000'000'000'000));
}

TEST_CASE("checkpoints that are there count: a full set needs room for one") {
  const TempDir dir;
  save_steps(dir, {1, 2});
  CHECK(fits(dir.path(), 4000, 3, 100));
  CHECK_FALSE(fits(dir.path(), 3000, 3, 100));
  save_steps(dir, {3, 4, 5});
  CHECK(fits(dir.path(), 2000, 3, 100));
  CHECK_FALSE(fits(dir.path(), 1000, 3, 100));
}

TEST_CASE("a file system that does not tell its free space is not refused") {
  for (const bool fails : {true, false}) {
    SilentDisk disk(fails);
    CHECK_NOTHROW(require_room("/", 1 << 30, 3, 100, disk));
  }
}

TEST_CASE("room is looked for on the disk that the checkpoints are on, where they are a link too") {
  class Asked : public Disk {
   public:
    fs::path place;
    int statvfs(const char* path, struct ::statvfs* status) override {
      place = fs::canonical(path);
      return Disk::statvfs(path, status);
    }
  } disk;
  const TempDir dir;
  fs::create_directories(dir / "big");
  fs::create_directories(dir / "run");
  require_room(dir / "run", 1, 1, 1, disk);
  CHECK(disk.place == fs::canonical(dir / "run"));
  fs::create_directory_symlink(dir / "big", dir / "run/checkpoints");
  require_room(dir / "run", 1, 1, 1, disk);
  CHECK(disk.place == fs::canonical(dir / "big"));
}
