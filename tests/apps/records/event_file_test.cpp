#include "apps/records/event_file.hpp"

#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

const std::string kGolden = fixtures_dir() + "/events/golden.tfevents";

using Points = std::map<std::string, std::vector<std::pair<std::int64_t, float>>>;

/// The points that tests/apps/records/read_events.py finds in a directory.
Points read_events(const fs::path& directory) {
  const ProgramResult read = run_program(
      {source_dir() + "/tests/apps/records/read_events.py", directory.string()}, {.program = "python3"});
  INFO(read.err);
  REQUIRE(read.exit_code == 0);
  return nlohmann::json::parse(read.out).get<Points>();
}

/// The points that event files should have: every number in metrics.jsonl.
Points expected_of(const fs::path& metrics) {
  Points points;
  std::istringstream rows(text_of(metrics));
  for (std::string line; std::getline(rows, line);) {
    const auto row = nlohmann::json::parse(line);
    const auto step = row.at("step").get<std::int64_t>();
    for (const auto& [key, value] : row.items()) {
      if (value.is_number() && key != "step") points[key].emplace_back(step, value.get<float>());
      if (value.is_object())
        for (const auto& [part, inner] : value.items())
          points[key + "/" + part].emplace_back(step, inner.get<float>());
      if (!value.is_array()) continue;
      REQUIRE(value.size() == 1);  // the workshop's MoE layer is layer 1
      const std::string tag = key.substr(0, key.find("_by_layer"));
      points[tag + "/layer_1"].emplace_back(step, value[0].get<float>());
    }
  }
  return points;
}

}  // namespace

TEST_CASE("event_file: CRC-32C of the examples in RFC 3720") {
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending += static_cast<char>(i);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
  CHECK(crc32c(ascending) == 0x46dd794eU);
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c("") == 0);
}

TEST_CASE("event_file: records are byte for byte those of protobuf's own serializer") {
  std::vector<Scalar> layers;
  for (int layer = 0; layer < 40; ++layer)
    layers.push_back({fmt::format("load_cv/layer_{}", layer), static_cast<float>(-1.5e30 * layer)});
  const std::vector<Scalar> two{{"ce", 0.1F}, {"zero", 0.0F}};
  CHECK(version_record(1.7e9) + restart_record(1700000000.25, 300) + scalars_record(1700000001.5, 300, two) +
            scalars_record(1700000002.125, (std::int64_t{1} << 40) + 3, layers) ==
        text_of(kGolden));
}

TEST_CASE("event_file: the reader of these tests understands what protobuf wrote") {
  const TempDir directory;
  fs::copy(kGolden, directory / "events.out.tfevents.1");
  const Points points = read_events(directory.path());
  CHECK(points.size() == 42);
  CHECK(points.at("ce") == Points::mapped_type{{300, 0.1F}});
  CHECK(points.at("load_cv/layer_39") == Points::mapped_type{{(std::int64_t{1} << 40) + 3, -5.85e31F}});
}

TEST_CASE(
    "event_file: every number of a row is a scalar, a list has one for each layer, what is no number has "
    "none") {
  const ordered_json row{{"step", 3},
                         {"tokens", 4096},
                         {"ce", nullptr},
                         {"skipped", true},
                         {"aux", 1.25},
                         {"seconds", {{"forward", 0.5}, {"backward", 1.0}}},
                         {"aux_by_layer", {1.0, nullptr, 1.5}}};
  const std::vector<std::int64_t> layers{1, 2, 9};
  CHECK(scalars_of(row, layers) == std::vector<Scalar>{{"tokens", 4096.0F},
                                                       {"aux", 1.25F},
                                                       {"seconds/forward", 0.5F},
                                                       {"seconds/backward", 1.0F},
                                                       {"aux/layer_1", 1.0F},
                                                       {"aux/layer_9", 1.5F}});
  CHECK_THROWS_AS(scalars_of({{"aux_by_layer", {1.0}}}, layers), Error);
}

TEST_CASE("event_file: event files made in the same second sort in the order in which they were made") {
  const TempDir directory;
  std::vector<fs::path> paths;
  for (int i = 0; i < 12; ++i) paths.push_back(EventFile(directory / "tensorboard", 1).path());
  CHECK(std::is_sorted(paths.begin(), paths.end()));
  CHECK(std::adjacent_find(paths.begin(), paths.end()) == paths.end());
}

TEST_CASE("event_file: an event file that cannot be written is an I/O error") {
  const TempDir directory;
  write_text(directory / "tensorboard", "a file");
  try {
    const EventFile file(directory / "tensorboard", 1);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::io);
  }
}

TEST_CASE(
    "event_file: a run that is asked for event files writes every number of metrics.jsonl, once, resumed or "
    "not") {
  const Workshop shop;
  REQUIRE(shop.train("plain").exit_code == 0);
  CHECK_FALSE(fs::exists(shop.directory / "plain/tensorboard"));
  REQUIRE(shop.train("run", {"log.tensorboard=true", "log.profile=true"}).exit_code == 0);
  const fs::path events = shop.directory / "run/tensorboard", metrics = shop.directory / "run/metrics.jsonl";
  const Points points = read_events(events);
  CHECK(points.at("ce").size() == 40);
  CHECK(points.at("val_ce").size() == 4);
  CHECK(points.at("load_cv/layer_1").size() == 40);
  CHECK(points.at("seconds_by_phase/forward").size() == 40);
  CHECK(points == expected_of(metrics));
  // This is the state after a crash after step 40, if the last checkpoint was not finished.
  fs::remove_all(shop.checkpoint("run", 40));
  REQUIRE(shop.train("run", {"log.tensorboard=true", "--resume"}).exit_code == 0);
  CHECK(std::distance(fs::directory_iterator(events), fs::directory_iterator()) == 2);
  CHECK(read_events(events) == expected_of(metrics));
  CHECK(read_events(events) != points);  // the times of the second half are new
}
