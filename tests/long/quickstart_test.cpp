// The quickstart's run with another seed, from text to evaluation, in float32 and in bf16. It must learn much
// more than how often each token occurs.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/sampling/token_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

void run(const std::vector<std::string>& arguments) {
  const ProgramResult result = run_program(arguments, {.timeout = std::chrono::seconds(2400)});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

std::vector<std::int32_t> tokens_of(const fs::path& data, Split split) {
  const TokenSource source(data, split);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(source.summary().tokens));
  source.read(0, tokens);
  return tokens;
}

/// The cross-entropy of the validation text under the training text's token frequencies (add-one), in nats
/// for each token.
double unigram_ce(const fs::path& data, std::size_t vocabulary) {
  std::vector<double> counts(vocabulary, 1.0);
  double total = static_cast<double>(vocabulary);
  for (const std::int32_t token : tokens_of(data, Split::train)) {
    counts[static_cast<std::size_t>(token)] += 1.0;
    total += 1.0;
  }
  double sum = 0.0;
  const auto validation = tokens_of(data, Split::val);
  for (const std::int32_t token : validation)
    sum -= std::log(counts[static_cast<std::size_t>(token)] / total);
  return sum / static_cast<double>(validation.size());
}

std::vector<nlohmann::json> metrics_of(const fs::path& run) {
  std::ifstream metrics(run / "metrics.jsonl");
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(metrics, line);) rows.push_back(nlohmann::json::parse(line));
  return rows;
}

}  // namespace

TEST_CASE(
    "the quickstart's model beats the token frequencies of its text by more than one nat, and in bf16 too") {
  const TempDir work;
  const std::string book = source_dir() + "/configs/quickstart/moby-dick.txt";
  const std::string config = source_dir() + "/configs/quickstart.toml";
  const auto path = [&](const char* name) { return (work / name).string(); };
  run({"tokenizer", "train", "--input", book, "--vocab-size", "4096", "--out", path("tok.model")});
  run({"data", "build", "--tokenizer", path("tok.model"), "--input", book, "--val-fraction", "0.05", "--out",
       path("data")});
  run({"train", config, "data.path=" + path("data"), "train.seed=1", "--out", path("run")});
  const std::vector<nlohmann::json> rows = metrics_of(work / "run");
  REQUIRE_FALSE(rows.empty());
  const nlohmann::json& last = rows.back();
  const double unigram = unigram_ce(path("data"), 4096), learned = last.at("val_ce");
  WARN("unigram " << unigram << " nats a token, learned " << learned);
  CHECK(learned < unigram - 1.0);
  CHECK(last.at("dead_experts") == 0);

  // In bf16 the curve is another one. docs/config.md has it for three seeds, of which this is one. There it
  // was 0.00 to 0.12 above that of float32. The bounds leave room for the roundings of other processors.
  run({"train", config, "data.path=" + path("data"), "train.seed=1", "train.dtype=bf16", "--out",
       path("bf16")});
  const std::vector<nlohmann::json> narrow = metrics_of(work / "bf16");
  REQUIRE(narrow.size() == rows.size());
  double least = 0.0, most = 0.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double more = narrow[i].at("ce").get<double>() - rows[i].at("ce").get<double>();
    least = std::min(least, more);
    most = std::max(most, more);
  }
  WARN("losses in bf16 are " << least << " to " << most << " above those in float32");
  CHECK(most <= 0.2);
  CHECK(least >= -0.5);
  CHECK(narrow.back().at("val_ce").get<double>() < unigram - 1.0);
  CHECK(narrow.back().at("dead_experts") == 0);
}
