// Damaged checkpoints: in every file, in every part of the manifest, and by single bits.
#include <functional>
#include <random>

#include "core/error.hpp"
#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/files.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

std::string refusal_of(const fs::path& checkpoint) {
  try {
    (void)open_checkpoint(checkpoint);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "accepted";
}

/// Changes the manifest and gives it the correct checksum, as an attacker or another program would.
void forge(const fs::path& checkpoint, const std::function<void(nlohmann::ordered_json&)>& change) {
  auto document = nlohmann::ordered_json::parse(text_of(checkpoint / "state.json"));
  document.erase("checksum");
  change(document);
  std::string text = document.dump(2);
  text.resize(text.size() - 2);
  text += fmt::format(",\n  \"checksum\": \"{}\"\n}}\n", xxh3_of(std::as_bytes(std::span(text))));
  write_text(checkpoint / "state.json", text);
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
      {"empty manifest", [](auto& d) { write_text(d / "state.json", ""); }, "the manifest is cut off"},
      {"manifest cut off", [](auto& d) { fs::resize_file(d / "state.json", 200); }, "own checksum differs"},
      {"final newline gone",
       [](auto& d) { fs::resize_file(d / "state.json", fs::file_size(d / "state.json") - 1); },
       "own checksum differs"},
      {"checksum in upper case",
       [](auto& d) {
         std::string text = text_of(d / "state.json");
         const std::size_t at = text.find_first_of("abcdef", text.size() - 20);
         if (at == std::string::npos) return write_text(d / "state.json", text + "\n");
         text[at] = static_cast<char>(text[at] - 'a' + 'A');
         write_text(d / "state.json", text);
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
      {"byte appended", [](auto& d) { write_text(d / kOptim, text_of(d / kOptim) + "x"); },
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
      {"tokenizer changed", [](auto& d) { write_text(d / "tokenizer.model", "tHe tokens"); },
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

TEST_CASE(
    "checkpoint: every damage of a checkpoint is refused with its own reason and passed over for the one "
    "before") {
  std::vector<Damage> damages = damages_of_files();
  for (Damage& damage : damages_of_the_manifest()) damages.push_back(std::move(damage));
  for (const Damage& damage : damages) {
    INFO(damage.name);
    const TempDir dir(TempDir::Where::memory);
    save_steps(dir, {1, 2});
    REQUIRE(refusal_of(checkpoint_at(dir, 2)) == "accepted");
    damage.inflict(checkpoint_at(dir, 2));
    CHECK_THAT(refusal_of(checkpoint_at(dir, 2)),
               Catch::Contains(damage.message) && Catch::Contains(checkpoint_at(dir, 2).string()));
    if (std::string(damage.name) == "newer version") {
      CHECK_THROWS_AS(find_newest_valid(dir.path()), NewerCheckpoint);
      continue;
    }
    const FoundCheckpoint found = find_newest_valid(dir.path());
    REQUIRE(found.checkpoint);
    CHECK(ExampleCheckpoint(1, dir.path()).equals(*found.checkpoint));
    REQUIRE(found.passed_over.size() == 1);
    CHECK(found.passed_over[0].path == checkpoint_at(dir, 2));
    CHECK_THAT(found.passed_over[0].reason, Catch::Contains(damage.message));
  }
}

TEST_CASE("checkpoint_manifest: any flipped bit, any missing end and any byte more of a manifest is found") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {7});
  const std::string text = text_of(checkpoint_at(dir, 7) / "state.json");
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

TEST_CASE("checkpoint: random flipped bits in every file of a checkpoint are found, and the file is named") {
  const TempDir dir(TempDir::Where::memory);
  save_steps(dir, {7});
  std::mt19937 random(3);
  for (const std::string& name : names_in(checkpoint_at(dir, 7))) {
    const fs::path path = checkpoint_at(dir, 7) / name;
    const std::string text = text_of(path);
    for (int i = 0; i < 100; ++i) {
      std::string changed = text;
      flip(changed, random() % (8 * text.size()));
      write_text(path, changed);
      REQUIRE_THAT(refusal_of(checkpoint_at(dir, 7)), Catch::Contains(name));
    }
    write_text(path, text);
  }
  CHECK(refusal_of(checkpoint_at(dir, 7)) == "accepted");
}
