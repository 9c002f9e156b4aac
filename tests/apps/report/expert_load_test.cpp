#include "apps/report/runs/expert_load.hpp"

#include <cmath>
#include <fstream>
#include <numeric>

#include <nlohmann/json.hpp>

#include "apps/records/run_directory.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// A router.bin of two layers with four experts. In step s, expert e of layer l is chosen (s + e) · (l + 1)
/// times.
std::filesystem::path router_file(const TempDir& directory, int steps, int first_step = 1) {
  RunDirectory run(directory / "run", RunDirectory::Open::fresh);
  run.open_records({.layers = {1, 3}, .experts = 4, .first_step = first_step}, first_step - 1,
                   RunDirectory::TensorBoard::no);
  for (int step = first_step; step < first_step + steps; ++step) {
    std::vector<std::int64_t> counts;
    for (int layer = 0; layer < 2; ++layer)
      for (int expert = 0; expert < 4; ++expert) counts.push_back((step + expert) * (layer + 1));
    run.append_counts(counts);
  }
  return directory / "run/router.bin";
}

}  // namespace

TEST_CASE("expert_load: few steps have a bin each, and shares are counts over their mean") {
  const TempDir directory;
  const ExpertLoad load = read_expert_load(router_file(directory, 3), {.most_bins = 60});
  CHECK(load.layers == std::vector<std::int64_t>{1, 3});
  CHECK(load.experts == 4);
  CHECK(load.steps == std::vector<std::int64_t>{1, 2, 3});
  for (std::size_t layer = 0; layer < 2; ++layer) {
    CHECK(load.at(layer, 0, 0) == Approx(1.0 / 2.5));
    CHECK(load.at(layer, 2, 3) == Approx(6.0 / 4.5));
  }
}

TEST_CASE("expert_load: many steps are summed in bins that end at their last step") {
  const TempDir directory;
  const ExpertLoad load = read_expert_load(router_file(directory, 100), {.most_bins = 10});
  REQUIRE(load.steps.size() == 10);
  CHECK(load.steps.front() == 10);
  CHECK(load.steps.back() == 100);
  // The mean step of the second bin is 15.5, so expert e has 15.5 + e of a mean of 17.
  CHECK(load.at(0, 1, 3) == Approx(18.5 / 17.0));
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (std::size_t bin = 0; bin < 10; ++bin) {
      double sum = 0.0;
      for (std::size_t expert = 0; expert < 4; ++expert) sum += load.at(layer, bin, expert);
      CHECK(sum == Approx(4.0));
    }
  }
}

TEST_CASE("expert_load: the budget of numbers makes fewer bins") {
  const TempDir directory;
  const auto file = router_file(directory, 100);
  CHECK(read_expert_load(file, {.most_bins = 60, .numbers = 80}).steps.size() == 10);
  CHECK(read_expert_load(file, {.most_bins = 60, .numbers = 1}).steps.size() == 4);
  CHECK(read_expert_load(file, {.most_bins = 60, .numbers = 1'000'000}).steps.size() == 60);
}

TEST_CASE("expert_load: in a fork the first bin begins at the first step of the fork") {
  const TempDir directory;
  const ExpertLoad load = read_expert_load(router_file(directory, 4, 101), {.most_bins = 2});
  CHECK(load.steps == std::vector<std::int64_t>{102, 104});
}

TEST_CASE("expert_load: a step that is only partly written is left out") {
  const TempDir directory;
  const auto file = router_file(directory, 3);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  CHECK(read_expert_load(file, {}).steps == std::vector<std::int64_t>{1, 2});
}

TEST_CASE("expert_load: a bin without a choice has no shares") {
  const TempDir directory;
  const auto file = router_file(directory, 1);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(4096)
      .write(std::string(32, '\0').data(), 32);
  CHECK(std::isnan(read_expert_load(file, {}).at(0, 0, 0)));
}

TEST_CASE("expert_load: no file and no step are no load, and a damaged header is an error") {
  const TempDir directory;
  CHECK(read_expert_load(directory / "router.bin", {}).empty());
  const auto file = router_file(directory, 1);
  std::filesystem::resize_file(file, 4096);
  CHECK(read_expert_load(file, {}).empty());
  for (const char* const head :
       {"{", R"({"format": "granule-router/1"})",
        R"({"format": "other", "dtype": "int32", "layers": [1], "experts": 4, "header_bytes": 4096})"}) {
    std::string text = head;
    text.resize(5'000, ' ');
    write_text(file, text);
    CHECK_THROWS_AS(read_expert_load(file, {}), Error);
  }
}
