#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested run
// `mpirun granule train` on several ranks trains the same as one rank, also on another number of ranks after
// a restart.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;

namespace fs = std::filesystem;

namespace {

/// The number of ranks, ep, and the ZeRO stage.
struct Layout {
  int ranks;
  int ep, zero;
  [[nodiscard]] std::string text() const { return fmt::format("{} ranks, ep {}, ZeRO {}", ranks, ep, zero); }
};

std::vector<std::string> words_of(const Layout& layout, const fs::path& out, int steps) {
  return {program_path(), "train", small_run().config, "train.dtype=f64", "train.micro_batch_size=1",
          fmt::format("train.steps={}", steps),
          // As fractions of the run, they would move with its length.
          "schedule.kind=constant", fmt::format("checkpoint.every={}", 5), "eval.every=10",
          fmt::format("parallel.ep={}", layout.ep), fmt::format("parallel.zero={}", layout.zero), "--out",
          out, "--resume"};
}

void train(const Layout& layout, const fs::path& out, int steps) {
  INFO(layout.text());
  const ProgramResult result = under_mpirun(layout.ranks, words_of(layout, out, steps));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

/// Every value of metrics.jsonl under this key.
std::vector<double> metric(const fs::path& run, const std::string& key) {
  std::vector<double> values;
  std::istringstream lines(text_of(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    if (row.contains(key)) values.push_back(row.at(key).get<double>());
  }
  return values;
}

void check_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= tolerance * std::abs(b[i]));
}

/// Two runs whose sums are in another order must agree as in the library's parity matrix.
void check_same_run(const fs::path& run, const fs::path& expected) {
  check_close(metric(run, "ce"), metric(expected, "ce"), 1e-12);
  check_close(metric(run, "aux"), metric(expected, "aux"), 1e-12);
  check_close(metric(run, "grad_norm"), metric(expected, "grad_norm"), 1e-11);
  check_close(metric(run, "balance_over_ce"), metric(expected, "balance_over_ce"), 1e-9);
  CHECK(text_of(run / "router.bin") == text_of(expected / "router.bin"));
}

/// One rank, 15 steps. The run is made once.
const fs::path& alone() {
  static const TempDir directory;
  static const fs::path run = [] {
    train({1, 1, 0}, directory / "alone", 15);
    return fs::path(directory / "alone");
  }();
  return run;
}

}  // namespace

TEST_CASE("under mpirun a dozen layouts train what one rank trains") {
  for (const Layout& layout : std::vector<Layout>{{1, 1, 3},
                                                  {2, 1, 0},
                                                  {2, 1, 1},
                                                  {2, 2, 0},
                                                  {2, 2, 3},
                                                  {2, 1, 2},
                                                  {4, 1, 3},
                                                  {4, 2, 1},
                                                  {4, 4, 0},
                                                  {4, 2, 2},
                                                  {8, 4, 1},
                                                  {8, 2, 3}}) {
    const TempDir directory;
    train(layout, directory / "run", 15);
    INFO(layout.text());
    check_same_run(directory / "run", alone());
    check_close(metric(directory / "run", "val_ce"), metric(alone(), "val_ce"), 1e-12);
  }
}

TEST_CASE("under mpirun a run may go on with other ranks, ep and ZeRO after every checkpoint") {
  const TempDir directory;
  const fs::path run = directory / "run";
  train({4, 2, 3}, run, 5);
  train({1, 1, 0}, run, 8);
  train({8, 4, 1}, run, 12);
  train({2, 1, 2}, run, 15);
  check_same_run(run, alone());
}

TEST_CASE("under mpirun a damaged checkpoint is named once and passed over by all ranks together") {
  const TempDir directory;
  const fs::path run = directory / "run";
  train({2, 2, 1}, run, 10);
  damage(run / "checkpoints" / "step-00000010" / "optim-00001-of-00001.safetensors");
  const ProgramResult result = under_mpirun(4, words_of({4, 2, 3}, run, 15));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  const auto first = result.err.find("passed over");
  CHECK(first != std::string::npos);
  CHECK(first == result.err.rfind("passed over"));
  CHECK(result.err.find("step-00000010") != std::string::npos);
  check_same_run(run, alone());
}

TEST_CASE("under mpirun layouts that do not fit are refused by the key's name, once") {
  const TempDir directory;
  const auto refused = [&](const Layout& layout, const std::string& extra) {
    auto words = words_of(layout, directory / "run", 1);
    words.insert(words.begin() + 3, extra);
    const ProgramResult result = under_mpirun(layout.ranks, words);
    CHECK(result.exit_code == 2);
    CHECK(result.err.find("granule: error: ") == result.err.rfind("granule: error: "));
    CHECK_FALSE(fs::exists(directory / "run"));
    return result.err;
  };
  using Catch::Contains;
  CHECK_THAT(refused({2, 1, 0}, "train.batch_size=7"),
             Contains("train.batch_size = 7") && Contains("2 ranks"));
  CHECK_THAT(refused({2, 4, 0}, "train.seed=0"), Contains("parallel.ep") && Contains("2 ranks"));
  CHECK_THAT(refused({3, 3, 0}, "train.batch_size=6"), Contains("8 experts") && Contains("3 ranks"));
}

TEST_CASE("under mpirun ranks that read other configs do not train together") {
  const TempDir directory;
  // `mpirun A : B` is not used, because it crashes Open MPI 5.0.7.
  std::vector<std::string> words{"/bin/sh", "-c", "exec \"$@\" optim.lr=0.00$((OMPI_COMM_WORLD_RANK + 1))",
                                 "sh"};
  const auto of_both = words_of({2, 1, 0}, directory / "run", 5);
  words.insert(words.end(), of_both.begin(), of_both.end());
  const ProgramResult result = under_mpirun(2, words);
  INFO(result.err);
  CHECK(result.exit_code == 76);
  CHECK_THAT(result.err, Catch::Contains("the ranks read different configs"));
  CHECK(result.err.find("granule: error: ") == result.err.rfind("granule: error: "));
  CHECK_FALSE(fs::exists(directory / "run"));
}

TEST_CASE("under mpirun data that is damaged is refused once, by the rank that checks the digests") {
  const TempDir directory;
  const fs::path data = copy_of(small_run().data, directory);
  damage(data / "train-00000.h5");
  auto words = words_of({2, 1, 0}, directory / "run", 5);
  words.push_back("data.path=" + data.string());
  const ProgramResult result = under_mpirun(2, words);
  INFO(result.err);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, Catch::Contains("train-00000.h5") && Catch::Contains("manifest"));
  CHECK(result.err.find("granule: error: ") == result.err.rfind("granule: error: "));
}

TEST_CASE(
    "under mpirun all ranks start from the checkpoint that rank 0 chose, and a damaged one is told once") {
  const TempDir directory;
  const fs::path first = directory / "first";
  train({1, 1, 0}, first, 10);
  damage(first / "checkpoints" / "step-00000010" / "model-00001-of-00001.safetensors");
  std::vector<std::vector<double>> ce;
  for (const int ranks : {1, 2}) {
    const fs::path run = directory / fmt::format("run-{}", ranks);
    auto words = words_of({ranks, ranks, 3}, run, 5);
    words.insert(words.end(), {"--init-from", first.string()});
    const ProgramResult result = under_mpirun(ranks, words);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(result.err.find("passed over") != std::string::npos);
    CHECK(result.err.find("passed over") == result.err.rfind("passed over"));
    ce.push_back(metric(run, "ce"));
  }
  check_close(ce[1], ce[0], 1e-12);
}
#endif
