// granule tokenizer train, data build and data inspect, run as a user runs them.
#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using Catch::StartsWith;
using test::fixtures_dir;
using test::run_program;
using test::TempDir;

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

test::ProgramResult run_in(const TempDir& dir, const std::vector<std::string>& arguments) {
  test::ProgramOptions options;
  options.working_directory = dir.path();
  options.timeout = std::chrono::seconds(60);
  return run_program(arguments, options);
}

// The one line of an error. It also checks that nothing was written for machines.
std::string error_of(const TempDir& dir, const std::vector<std::string>& arguments) {
  const auto result = run_in(dir, arguments);
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK_FALSE(result.timed_out);
  const auto at = result.err.find("granule: error: ");
  REQUIRE(at != std::string::npos);
  CHECK(result.err.find('\n', at) == result.err.size() - 1);
  return result.err.substr(at);
}

TEST_CASE("data_commands: the commands that hold others name them, and help ends with an example") {
  const TempDir dir;
  CHECK(error_of(dir, {"data"}) ==
        "granule: error: granule data needs a command: build, inspect, where, import (command line): see "
        "granule data "
        "--help\n");
  CHECK(error_of(dir, {"tokenizer"}) ==
        "granule: error: granule tokenizer needs a command: train, encode, decode (command line): see "
        "granule tokenizer "
        "--help\n");
  CHECK_THAT(error_of(dir, {"data", "bild"}), Contains("bild"));
  for (const auto& command : std::vector<std::vector<std::string>>{{"tokenizer"},
                                                                   {"tokenizer", "train"},
                                                                   {"data"},
                                                                   {"data", "build"},
                                                                   {"data", "inspect"},
                                                                   {"data", "import"}}) {
    auto arguments = command;
    arguments.emplace_back("--help");
    const auto help = run_in(dir, arguments);
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, Contains("\nExample: granule " + command.front() + " "));
  }
}

#ifdef GRANULE_WITH_SENTENCEPIECE

TEST_CASE("data_commands: from text to a data set: tokenizer train, data build, data inspect") {
  const TempDir dir;
  put(dir / "book.txt", test::prose(1, 1000));
  const auto trained =
      run_in(dir, {"tokenizer", "train", "--input", "book.txt", "--vocab-size", "350", "--out", "t.model"});
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK(nlohmann::json::parse(trained.out)["vocab_size"] == 350);
  CHECK_THAT(trained.err, !Contains("trainer_interface"));  // SentencePiece's own log

  const auto built = run_in(dir, {"data", "build", "--tokenizer", "t.model", "--input", "book.txt", "--out",
                                  "set", "--val-fraction", "0.1", "--compress"});
  INFO(built.err);
  REQUIRE(built.exit_code == 0);
  const auto report = nlohmann::json::parse(built.out);
  CHECK(report["train"]["documents"] == 1);
  CHECK(read_file(dir / "set/tokenizer.model") == read_file(dir / "t.model"));

  const auto inspected = run_in(dir, {"data", "inspect", "set"});
  REQUIRE(inspected.exit_code == 0);
  const auto found = nlohmann::json::parse(inspected.out);
  CHECK(found["splits"]["train"]["tokens"] == report["train"]["tokens"]);
  CHECK(found["splits"]["val"]["bytes"] == report["val"]["bytes"]);
  CHECK(found["shards"][0]["digest"] == "ok");
  CHECK(found["shards"][0]["mapped"] == false);
  CHECK(found["tokenizer_sha256"] == found["shards"][0]["attributes"]["tokenizer_sha256"]);
  CHECK(test::prose(1, 1000).starts_with(found["shards"][0]["first_text"].get<std::string>()));
  CHECK(found["problems"].empty());
  CHECK_THAT(inspected.err, Contains("train-00000.h5"));
}

TEST_CASE("data_commands: data build takes lines as documents and directories as input") {
  const TempDir dir;
  fs::create_directories(dir / "in/deep");
  put(dir / "in/deep/a.txt", "the whale\nthe sea\n\nthe ship\n");
  put(dir / "in/b.jsonl", "{\"text\": \"old man\"}\n");
  const auto built = run_in(dir, {"data", "build", "--split-lines", "--input", "in", "--tokenizer",
                                  test::small_tokenizer().string(), "--out", "set", "--shard-tokens", "1"});
  INFO(built.err);
  REQUIRE(built.exit_code == 0);
  const auto report = nlohmann::json::parse(built.out);
  CHECK(report["train"]["documents"] == 4);
  CHECK(report["train"]["shards"] == 4);
  CHECK(report["train"]["bytes"] == 9 + 7 + 8 + 7);
}

TEST_CASE("data_commands: tokenizer train tells the bytes of the text, also of compressed text") {
  const fs::path files = fs::path(fixtures_dir()) / "compressed";
  const TempDir temp;
  const auto bytes_of = [&](const char* name) {
    const auto result = run_program({"tokenizer", "train", "--input", files / name, "--vocab-size", "280",
                                     "--out", temp / (std::string(name) + ".model")});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return nlohmann::json::parse(result.out)["text_bytes"].get<std::int64_t>();
  };
  const auto plain = bytes_of("lines.jsonl");
  CHECK(bytes_of("whole.jsonl.gz") == plain);
  CHECK(bytes_of("whole.jsonl.zst") == plain);
}

TEST_CASE("data_commands: tokenizer train refuses a place that cannot be written before it reads text") {
  const auto result = run_program(
      {"tokenizer", "train", "--input", "/proc/absent", "--vocab-size", "280", "--out", "/proc/t.model"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Contains("cannot write in the directory: "));
}

TEST_CASE("data_commands: data build makes the same of compressed text as of plain text") {
  const TempDir dir;
  const fs::path files = fs::path(fixtures_dir()) / "compressed";
  const auto shard_of = [&](const char* input) {
    const std::string out = std::string("set-") + input;
    const auto built =
        run_in(dir, {"data", "build", "--tokenizer", test::small_tokenizer().string(), "--input",
                     (files / input).string(), "--out", out, "--val-fraction", "0.2"});
    INFO(built.err);
    REQUIRE(built.exit_code == 0);
    CHECK_THAT(built.err, Contains("100 %"));
    return nlohmann::json::parse(built.out)["train"].dump() + read_file(dir / (out + "/train-00000.h5"));
  };
  const std::string plain = shard_of("lines.jsonl");
  CHECK(shard_of("parts.jsonl.gz") == plain);
  CHECK(shard_of("parts.jsonl.zst") == plain);
}

TEST_CASE(
    "data_commands: bad arguments and inputs of tokenizer train are one line and exit code 2 and write "
    "nothing") {
  const TempDir dir;
  put(dir / "book.txt", test::prose(1, 100));
  put(dir / "empty.txt", "");
  put(dir / "bytes.txt", "ok\n\xff\n");
  put(dir / "old.model", "precious");
  REQUIRE(mkfifo((dir / "pipe.txt").c_str(), 0600) == 0);
  const auto error = [&](const std::string& input, const std::string& size, const std::string& out) {
    return error_of(dir, {"tokenizer", "train", "--input", input, "--vocab-size", size, "--out", out});
  };
  CHECK_THAT(error("book.txt", "100000", "new.model"), Contains("use at most"));
  CHECK_THAT(error("book.txt", "200", "new.model"), Contains("use at least"));
  CHECK_THAT(error("book.txt", "-1", "new.model"), Contains("a vocabulary of -1 pieces"));
  CHECK_THAT(error("book.txt", "many", "new.model"), Contains("many"));
  CHECK_THAT(error("absent.txt", "300", "new.model"), Contains("absent.txt"));
  CHECK_THAT(error("empty.txt", "300", "new.model"), Contains("no text to train on (empty.txt)"));
  CHECK_THAT(error("bytes.txt", "300", "new.model"), Contains("(bytes.txt:2)"));
  CHECK_THAT(error("pipe.txt", "300", "new.model"), Contains("not a regular file"));
  CHECK_THAT(error("book.txt", "300", "old.model"), Contains("the file already exists"));
  CHECK_THAT(error("book.txt", "300", "tok.json"), Contains("must end in .model"));
  CHECK_THAT(error("book.txt", "300", "book.txt/x.model"), Contains("book.txt"));
  CHECK_FALSE(fs::exists(dir / "new.model"));
  CHECK(read_file(dir / "old.model") == "precious");
}

TEST_CASE(
    "data_commands: bad arguments and inputs of data build are one line and exit code 2 and write nothing") {
  const TempDir dir;
  fs::copy_file(test::small_tokenizer(), dir / "t.model");
  put(dir / "book.txt", test::prose(1, 100));
  put(dir / "bad.jsonl", "{\"text\": \"x\"}\n{\"body\": \"x\"}\n");
  put(dir / "x.model", "no model");
  put(dir / "t.json", "{}");
  fs::create_directories(dir / "full/x");
  fs::create_directory(dir / "nothing");
  const auto error = [&](const std::string& tokenizer, const std::string& input, const std::string& out,
                         const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"data",    "build", "--tokenizer", tokenizer,
                                       "--input", input,   "--out",       out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return error_of(dir, arguments);
  };
  CHECK_THAT(error("t.json", "book.txt", "set"),
             Contains("the file has no model, so it is not a tokenizer.json"));
  CHECK_THAT(error("x.model", "book.txt", "set"), Contains("not a SentencePiece model (x.model)"));
  CHECK_THAT(error("absent.model", "book.txt", "set"), Contains("absent.model"));
  CHECK_THAT(error("t.model", "absent.txt", "set"), Contains("absent.txt"));
  CHECK_THAT(error("t.model", std::string(300, 'x'), "set"), Contains("File name too long"));
  CHECK_THAT(error("t.model", "book.txt", std::string(300, 'x')), Contains("File name too long"));
  CHECK_THAT(error("t.model", "nothing", "set"), Contains("no text files and no JSON Lines (nothing)"));
  CHECK_THAT(error("t.model", "bad.jsonl", "set"), Contains("the object has no \"text\" (bad.jsonl:2)"));
  const std::string gz = read_file(fs::path(fixtures_dir()) / "compressed/whole.jsonl.gz");
  put(dir / "cut.jsonl.gz", gz.substr(0, gz.size() - 9));
  CHECK_THAT(error("t.model", "cut.jsonl.gz", "set"),
             Contains("the compressed file ends too early (cut.jsonl.gz): get the file again"));
  CHECK_THAT(error("t.model", "book.txt", "full"), Contains("the directory is not empty"));
  CHECK_THAT(error("t.model", "book.txt", "book.txt"), Contains("not a directory"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--val-fraction", "1"}), Contains("--val-fraction"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--val-fraction", "x"}), Contains("--val-fraction"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--shard-tokens", "-5"}), Contains("--shard-tokens"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--shards", "5"}), Contains("--shards"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--vocab-size", "100"}), Contains("(--vocab-size)"));
  CHECK_THAT(error("t.model", "book.txt", "set", {"--eos", "</s>"}), Contains("has its own EOS (t.model)"));
  put(dir / "two.json", [] {
    auto json = nlohmann::json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers/base.json"));
    json["added_tokens"].push_back({{"id", 660}, {"content", "</s>"}, {"special", true}});
    return json.dump();
  }());
  CHECK_THAT(error("two.json", "book.txt", "set"), Contains("could both end documents (two.json)"));
  CHECK_THAT(error("two.json", "book.txt", "set", {"--eos", "<x>"}), Contains("<x> is not in the tokenizer"));
  CHECK_THAT(error_of(dir, {"data", "build"}), Contains("--tokenizer is missing"));
  CHECK_FALSE(fs::exists(dir / "set"));
  CHECK_FALSE(fs::exists(dir / "set.partial"));
}

#endif

TEST_CASE(
    "data_commands: data import makes a data set of other programs' files, which data inspect finds sound") {
  const TempDir dir;
  const fs::path files = fs::path(fixtures_dir()) / "imports";
  const auto made =
      run_in(dir, {"data", "import", "--format", "megatron", (files / "megatron_u16").string(),
                   (files / "megatron_i32.idx").string(), "--vocab-size", "100", "--document-end", "1",
                   "--add-eos", "--out", "set", "--val-fraction", "0.2", "--compress"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  const auto report = nlohmann::json::parse(made.out);
  CHECK(report["train"]["documents"].get<int>() + report["val"]["documents"].get<int>() == 2 * 19);
  CHECK(report["train"]["tokens"].get<int>() + report["val"]["tokens"].get<int>() == 2 * 147);
  const auto inspected = run_in(dir, {"data", "inspect", "set"});
  REQUIRE(inspected.exit_code == 0);
  const auto found = nlohmann::json::parse(inspected.out);
  CHECK(found["shards"][0]["attributes"]["eos_id"] == 1);
  CHECK(found["shards"][0]["mapped"] == false);
  CHECK(found["shards"][0]["ids"] == "ok");
  CHECK(found["splits"]["val"]["bytes"].is_null());
}

TEST_CASE("data_commands: data import takes vocabulary and EOS from a tokenizer, which goes with the data") {
  const TempDir dir;
  const auto made =
      run_in(dir, {"data", "import", "--format", "nanogpt", "--tokenizer",
                   fixtures_dir() + "/tokenizers/base.json", fixtures_dir() + "/imports/nanogpt.bin",
                   "--vocab-size", "1024", "--document-end", "1", "--out", "set"});
  INFO(made.err);
  REQUIRE(made.exit_code == 0);
  CHECK(nlohmann::json::parse(made.out)["train"]["documents"] == 19);
  const auto found = nlohmann::json::parse(run_in(dir, {"data", "inspect", "set"}).out);
  CHECK(found["shards"][0]["attributes"]["vocab_size"] == 1024);
  CHECK(found["tokenizer"] == "tokenizer.json");
  CHECK(found["problems"].empty());
}

TEST_CASE("data_commands: bad arguments of data import are one line and exit code 2 and write nothing") {
  const TempDir dir;
  const std::string files = fixtures_dir() + "/imports/";
  const auto error = [&](const std::string& format, const std::string& file, std::vector<std::string> more) {
    std::vector<std::string> arguments{"data", "import", "--format", format, files + file, "--out", "set"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return error_of(dir, arguments);
  };
  CHECK_THAT(error("parquet", "nanogpt.bin", {}), Contains("there is no format parquet (--format)"));
  CHECK_THAT(error("nanogpt", "nanogpt.bin", {}), Contains("the vocabulary is not known (--vocab-size)"));
  CHECK_THAT(error("nanogpt", "nanogpt.bin", {"--vocab-size", "9"}), Contains("outside the vocabulary of 9"));
  CHECK_THAT(error("llmc", "nanogpt.bin", {"--vocab-size", "100"}), Contains("not a token file of llm.c"));
  CHECK_THAT(error("nanogpt", "llmc_gpt2.bin", {"--vocab-size", "100"}), Contains("give --format llmc"));
  CHECK_THAT(error("megatron", "absent", {"--vocab-size", "100"}), Contains("absent.idx"));
  CHECK_THAT(error("megatron", "megatron_u8", {"--vocab-size", "100", "--document-start", "2"}),
             Contains("(--document-start)"));
  CHECK_THAT(error("llmc", "llmc_gpt2.bin", {"--vocab-size", "100", "--eos", "</s>"}), Contains("(--eos)"));
  CHECK_THAT(error("llmc", "llmc_gpt2.bin", {"--vocab-size", "100", "--add-eos"}), Contains("(--add-eos)"));
  CHECK_THAT(error("llmc", "llmc_gpt2.bin", {"--tokenizer", "absent.json"}), Contains("absent.json"));
  CHECK_THAT(error("llmc", "llmc_gpt2.bin", {"--document-end", "many"}), Contains("--document-end"));
  CHECK_THAT(error_of(dir, {"data", "import"}), Contains("FILE is missing"));
  CHECK_FALSE(fs::exists(dir / "set"));
  CHECK_FALSE(fs::exists(dir / "set.partial"));
}

TEST_CASE(
    "data_commands: data inspect shows foreign shards, and reports what is wrong after showing the rest") {
  const TempDir dir;
  const fs::path shards = fs::path(fixtures_dir()) / "shards";
  fs::copy_file(shards / "gzip.h5", dir / "train-0.h5");
  const auto one = run_in(dir, {"data", "inspect", "train-0.h5"});
  REQUIRE(one.exit_code == 0);
  const auto json = nlohmann::json::parse(one.out);
  CHECK(json["shards"][0]["tokens"] == 100);
  CHECK(json["shards"][0]["documents"].is_null());
  CHECK(json["shards"][0]["type"] == "u16");
  CHECK(json["shards"][0]["digest"] == "not checked");
  CHECK(json["shards"][0]["first_tokens"][2] == 14);

  fs::copy_file(shards / "bad_rank.h5", dir / "val-0.h5");
  const auto two = run_in(dir, {"data", "inspect", "."});
  CHECK(two.exit_code == 2);
  CHECK_THAT(two.err, Contains("/data has rank 2"));
  const auto both = nlohmann::json::parse(two.out);
  CHECK(both["splits"]["train"]["tokens"] == 100);
  CHECK(both["shards"][0]["digest"] == "no manifest");
  CHECK(both["problems"].size() == 1);
}

TEST_CASE("data_commands: data inspect of nothing usable is one line and exit code 2") {
  const TempDir dir;
  fs::create_directory(dir / "empty");
  put(dir / "manifest.json", "{");
  put(dir / "x.h5", "no HDF5");
  REQUIRE(mkfifo((dir / "pipe.h5").c_str(), 0600) == 0);
  CHECK_THAT(error_of(dir, {"data", "inspect", "absent"}), Contains("No such file or directory (absent)"));
  CHECK_THAT(error_of(dir, {"data", "inspect", std::string(300, 'x')}), Contains("File name too long"));
  CHECK_THAT(error_of(dir, {"data", "inspect", "empty"}), Contains("no shards"));
  CHECK_THAT(error_of(dir, {"data", "inspect", "."}), Contains("not valid JSON"));
  CHECK_THAT(error_of(dir, {"data", "inspect", "x.h5"}), Contains("not a readable HDF5 file"));
  CHECK_THAT(error_of(dir, {"data", "inspect", "pipe.h5"}), Contains("not a regular file"));
  CHECK_THAT(error_of(dir, {"data", "inspect"}), Contains("PATH is missing"));
}

}  // namespace
}  // namespace granule
