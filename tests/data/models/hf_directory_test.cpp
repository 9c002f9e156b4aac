#include "data/models/hf_directory.hpp"

#include <fstream>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_disk.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using granule::test::Fault;
using granule::test::FaultyDisk;
using granule::test::TempDir;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Example {
  std::vector<float> a{1.0f, -2.5f, 3.140625f, 0.1f, 1e-30f, 6.0f};
  std::vector<double> b{1.0 / 3.0, 1e-3};
  std::vector<float> c{7.0f, 8.0f, 9.0f};
  json config{{"hidden_size", 3}, {"rope_theta", 10000.0}, {"name", "ü"}};
  json generation{{"eos_token_id", 1}};
  std::vector<TensorToSave> tensors{tensor_of_bytes({"m.a", DType::f32, {2, 3}}, std::as_bytes(std::span(a))),
                                    tensor_of_bytes({"m.b", DType::f64, {2}}, std::as_bytes(std::span(b))),
                                    tensor_of_bytes({"m.c", DType::f32, {3}}, std::as_bytes(std::span(c)))};

  [[nodiscard]] HfExport as(DType dtype, std::int64_t max_shard_bytes) const {
    return {config, generation, tensors, dtype, max_shard_bytes};
  }
};

std::vector<std::string> files_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string refusal_of(const fs::path& directory) {
  try {
    (void)HfDirectory::open(directory);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::user);
    return error.what();
  }
  return "accepted";
}

void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), {});
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  std::ofstream(file, std::ios::binary) << text;
}

constexpr const char* kShard1 = "model-00001-of-00002.safetensors";
constexpr const char* kShard2 = "model-00002-of-00002.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

struct BadDirectory {
  const char* name;
  std::function<void(const fs::path&)> spoil;
  const char* message;
};

std::vector<BadDirectory> bad_directories() {
  return {
      {"no config", [](auto& d) { fs::remove(d / "config.json"); }, "config.json"},
      {"config is no object", [](auto& d) { write_file(d / "config.json", "[1]"); }, "not a JSON object"},
      {"config cut off", [](auto& d) { write_file(d / "config.json", "{\n\"a\": "); }, "config.json:2:6"},
      {"config key twice", [](auto& d) { write_file(d / "config.json", R"({"a":1,"a":1})"); },
       "\"a\" is given twice"},
      {"config with a comment", [](auto& d) { write_file(d / "config.json", "{ // x\n}"); }, "syntax error"},
      {"config empty", [](auto& d) { write_file(d / "config.json", ""); }, "it ends too early"},
      {"config is a directory",
       [](auto& d) {
         fs::remove(d / "config.json");
         fs::create_directory(d / "config.json");
       },
       "not a regular file"},
      {"no weights", [](auto& d) { fs::remove(d / kIndex); },
       "no model.safetensors and no model.safetensors.index.json"},
      {"index without weight_map", [](auto& d) { write_file(d / kIndex, "{}"); }, "no weight_map"},
      {"weight_map is a list", [](auto& d) { write_file(d / kIndex, R"({"weight_map":[]})"); },
       "no weight_map"},
      {"file is a number", [](auto& d) { write_file(d / kIndex, R"({"weight_map":{"m.a":1}})"); },
       "no plain file name"},
      {"file outside", [](auto& d) { write_file(d / kIndex, R"({"weight_map":{"m.a":"../x"}})"); },
       "no plain file name"},
      {"missing shard", [](auto& d) { fs::remove(d / kShard2); },
       "the shard model-00002-of-00002.safetensors is missing"},
      {"truncated shard", [](auto& d) { fs::resize_file(d / kShard1, fs::file_size(d / kShard1) - 1); },
       "ends at byte"},
      {"tensor in two shards",
       [](auto& d) { fs::copy_file(d / kShard1, d / kShard2, fs::copy_options::overwrite_existing); },
       "tensor 'm.a' is in two files"},
      {"tensor in another shard", [](auto& d) { replace_in(d / kIndex, kShard1, kShard2); },
       "tensor 'm.a' is in model-00001-of-00002.safetensors, the index puts it in "
       "model-00002-of-00002.safetensors"},
      {"tensor in no shard", [](auto& d) { replace_in(d / kIndex, "m.b", "m.x"); }, "tensor 'm.x' is not in"},
      {"tensor not in the index",
       [](auto& d) { replace_in(d / kIndex, std::string(R"("m.b": ")") + kShard1 + "\",", ""); },
       "tensor 'm.b' of model-00001-of-00002.safetensors is not in the index"},
  };
}

}  // namespace

TEST_CASE("hf_directory: a model written as one file in f32 comes back exactly") {
  const TempDir dir;
  const Example example;
  write_file(dir / "tokenizer.model", "tokens");
  HfExport model = example.as(DType::f32, 1000);
  model.extra_files = {dir / "tokenizer.model"};
  write_hf_directory(dir / "out/", model);
  CHECK(files_in(dir / "out") == std::vector<std::string>{"config.json", "generation_config.json",
                                                          "model.safetensors", "tokenizer.model"});
  CHECK(files_in(dir.path()) == std::vector<std::string>{"out", "tokenizer.model"});
  const auto read = HfDirectory::open(dir / "out");
  CHECK(read.config() == example.config);
  CHECK(read.names() == std::vector<std::string>{"m.a", "m.b", "m.c"});
  std::vector<float> a(6);
  read.read_into("m.a", std::vector<std::int64_t>{2, 3}, std::span(a));
  CHECK(a == example.a);
  std::vector<double> b(2);
  read.read_into("m.b", std::vector<std::int64_t>{2}, std::span(b));
  CHECK(b ==
        std::vector<double>{static_cast<double>(static_cast<float>(1.0 / 3.0)), static_cast<double>(1e-3f)});
}

TEST_CASE("hf_directory: a model written in shards of bf16 has an index that names every tensor once") {
  const TempDir dir;
  const Example example;
  write_hf_directory(dir / "out", example.as(DType::bf16, 16));
  CHECK(files_in(dir / "out") ==
        std::vector<std::string>{"config.json", "generation_config.json", kShard1, kShard2, kIndex});
  std::ifstream stream(dir / "out" / kIndex);
  CHECK(json::parse(stream) == json{{"metadata", {{"total_size", 22}}},
                                    {"weight_map", {{"m.a", kShard1}, {"m.b", kShard1}, {"m.c", kShard2}}}});
  const auto read = HfDirectory::open(dir / "out");
  CHECK(read.find("m.a")->dtype == DType::bf16);
  std::vector<float> a(6);
  read.read_into("m.a", std::vector<std::int64_t>{2, 3}, std::span(a));
  CHECK(a[1] == -2.5f);
  CHECK(a[2] == 3.140625f);
  CHECK(a[3] == 0.10009765625f);  // 0.1 in bf16
}

TEST_CASE("hf_directory: a faulty Hugging Face directory is refused with its own reason") {
  const Example example;
  for (const BadDirectory& bad : bad_directories()) {
    INFO(bad.name);
    const TempDir dir;
    write_hf_directory(dir / "out", example.as(DType::bf16, 16));
    REQUIRE(refusal_of(dir / "out") == "accepted");
    bad.spoil(dir / "out");
    CHECK_THAT(refusal_of(dir / "out"),
               Catch::Contains(bad.message) && Catch::Contains((dir / "out").string()));
  }
}

TEST_CASE("hf_directory: reading a tensor names it, its file and both shapes when they do not fit") {
  const TempDir dir;
  const std::vector<std::int32_t> ids{1, 2};
  std::vector<TensorToSave> tensors{tensor_of_bytes({"ids", DType::i32, {2}}, std::as_bytes(std::span(ids)))};
  write_tensors(dir.path(), "model", tensors, 1000, ShardNames::plain_when_single);
  write_file(dir / "config.json", "{}");
  const auto read = HfDirectory::open(dir.path());
  std::vector<float> out(2);
  const auto reading = [&](const char* name, std::vector<std::int64_t> shape) {
    read.read_into(name, shape, std::span(out));
  };
  CHECK_THROWS_WITH(reading("ids", {1, 2}), Catch::Contains("'ids' has shape [2], expected [1, 2]") &&
                                                Catch::Contains((dir / "model.safetensors").string()));
  CHECK_THROWS_WITH(reading("ids", {2}), Catch::Contains("'ids' holds i32"));
  CHECK_THROWS_WITH(reading("absent", {2}), Catch::Contains("'absent' of shape [2] is missing"));
}

TEST_CASE("hf_directory: an export goes only into a new or an empty directory") {
  const TempDir dir;
  const Example example;
  const HfExport model = example.as(DType::f32, 1000);
  fs::create_directory(dir / "empty");
  write_hf_directory(dir / "empty", model);
  CHECK(fs::exists(dir / "empty" / "config.json"));
  CHECK_THROWS_WITH(write_hf_directory(dir / "empty", model), Catch::Contains("not empty"));
  write_file(dir / "file", "x");
  CHECK_THROWS_WITH(write_hf_directory(dir / "file", model), Catch::Contains("not empty"));
  CHECK_THROWS_WITH(write_hf_directory(dir / "no" / "where", model), Catch::Contains("create it first"));
}

TEST_CASE(
    "hf_directory: an export that fails in any call leaves no directory, or in the last calls a whole one") {
  const Example example;
  int calls = 0;
  {
    const TempDir dir;
    FaultyDisk disk(Fault::none, 0);
    write_hf_directory(dir / "out", example.as(DType::bf16, 16), disk);
    calls = disk.calls();
  }
  REQUIRE(calls > 30);
  int reported = 0;
  for (int at = 0; at < calls; ++at) {
    INFO("call " << at);
    const TempDir dir;
    FaultyDisk disk(Fault::enospc, at);
    try {
      write_hf_directory(dir / "out", example.as(DType::bf16, 16), disk);
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::io);
      ++reported;
    }
    if (fs::exists(dir / "out")) {
      CHECK_NOTHROW(verify_hf_directory(dir / "out", example.as(DType::bf16, 16)));
    } else {
      CHECK(files_in(dir.path()).empty());
    }
  }
  CHECK(reported > calls / 2);
}

TEST_CASE("hf_directory: the directory of an export is not there before it is whole") {
  struct Watcher : Disk {
    fs::path out;
    int create(const char* path) override {
      CHECK_FALSE(fs::exists(out));
      return Disk::create(path);
    }
  } disk;
  const TempDir dir;
  disk.out = dir / "out";
  write_hf_directory(dir / "out", Example().as(DType::bf16, 16), disk);
  CHECK(fs::exists(dir / "out"));
}

TEST_CASE("hf_directory: verification finds a changed value, a tensor too many and another config") {
  const TempDir dir;
  Example example;
  const HfExport model = example.as(DType::f32, 1000);
  write_hf_directory(dir / "out", model);
  CHECK_NOTHROW(verify_hf_directory(dir / "out", model));
  example.a[5] = 6.0000005f;
  CHECK_THROWS_WITH(verify_hf_directory(dir / "out", model),
                    Catch::Contains("tensor 'm.a' reads back differently"));
  example.a[5] = 6.0f;
  HfExport fewer = model;
  fewer.tensors = model.tensors.first(2);
  CHECK_THROWS_WITH(verify_hf_directory(dir / "out", fewer), Catch::Contains("the list of tensors"));
  example.config["hidden_size"] = 4;
  CHECK_THROWS_WITH(verify_hf_directory(dir / "out", model),
                    Catch::Contains("config.json reads back differently"));
}
