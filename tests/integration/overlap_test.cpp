// What is computed while tensors travel by NCCL. The emulated CUDA device writes down what is submitted to
// its streams, so the order in which streams wait for each other does not depend on time.
#include <fstream>
#include <sstream>

#include "tests/support/emulated_runs.hpp"

#ifdef GRANULE_EMULATED_NCCL

using namespace granule::test;

namespace {

struct Submitted {
  int stream = 0;
  std::string name;
};

constexpr std::int64_t kNobodyWaits = 1'000'000;

/// A collective of a rank.
struct Sent {
  std::size_t start = 0, wait = 0;  ///< its place, and that of the first kernel that needs it, in the trace
  std::int64_t work = 0;            ///< what the computation has between the two: kernels and products
  std::int64_t products = 0;        ///< the products among them
};

/// What rank 0 has submitted.
class Trace {
 public:
  explicit Trace(const std::filesystem::path& folder) {
    std::ifstream file(folder / "0.trace");
    for (std::string line; std::getline(file, line);) {
      Submitted one;
      std::istringstream words(line);
      words >> one.stream;
      std::getline(words >> std::ws, one.name);
      all_.push_back(one);
    }
    const auto product = std::ranges::find(all_, "product", &Submitted::name);
    REQUIRE(product != all_.end());
    computation_ = product->stream;
  }

  [[nodiscard]] std::vector<Sent> of(const std::string& call) const {
    std::vector<Sent> sent;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (all_[i].name == call) sent.push_back(from(i));
    }
    return sent;
  }

 private:
  [[nodiscard]] Sent from(std::size_t start) const {
    Sent sent{.start = start, .wait = start};
    std::size_t end = start;
    while (!(all_.at(end).stream == all_[start].stream && all_[end].name.starts_with("record "))) ++end;
    const std::string event = all_[end].name.substr(7);
    for (sent.wait = end; all_.at(sent.wait).name != "wait " + event; ++sent.wait) {
      // It had ended before anybody needed it, so nothing waits for it.
      if (all_[sent.wait].name == "pass " + event) return {start, all_.size(), kNobodyWaits, kNobodyWaits};
      if (all_[sent.wait].stream != computation_) continue;
      const bool product = all_[sent.wait].name == "product";
      sent.products += product ? 1 : 0;
      sent.work += product || all_[sent.wait].name == "kernel" ? 1 : 0;
    }
    return sent;
  }

  std::vector<Submitted> all_;
  int computation_ = 0;
};

constexpr int kSteps = 3;

/// Two ranks. Each has two micro-batches in a step.
Trace trace_of(const Words& keys) {
  const Workshop shop;
  ProgramOptions options = with(GRANULE_CUDA_EMULATED);
  options.environment["GRANULE_EMULATED_TRACE"] = shop.directory.path().string();
  const Words words{
      program_path(),   "train",        shop.path("run.toml"),      "--out",
      shop.path("run"), "eval.every=0", "train.micro_batch_size=1", fmt::format("train.steps={}", kSteps)};
  const ProgramResult result = under_mpirun(2, words + kOnCuda + keys, options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return Trace(shop.directory.path());
}

}  // namespace

TEST_CASE(
    "emulated CUDA ranks: gradients are summed behind backward, and the optimizer is the first to wait") {
  const std::vector<Sent> sums = trace_of({"parallel.zero=0"}).of("ncclAllReduce");
  const std::size_t in_step = sums.size() / kSteps;
  REQUIRE(sums.size() == in_step * kSteps);
  for (std::size_t first = 0; first < sums.size(); first += in_step) {
    const std::size_t last = first + in_step - 2;  // the very last one sums the balance of the router
    CAPTURE(first, sums[first].start, sums[first].wait, sums[last].start);
    CHECK(sums[first].work > 0);
    CHECK(sums[last].start < sums[first].wait);
  }
}

TEST_CASE(
    "emulated CUDA ranks: with ZeRO 2, a micro-batch goes on while the gradients of a unit are summed") {
  const std::vector<Sent> sums = trace_of({"parallel.zero=2"}).of("ncclReduceScatter");
  // Nothing follows the two sums of the first block and that of the embedding, at the end of a step.
  CHECK(std::ranges::count(sums, 0, &Sent::products) <= 2 * kSteps);
  CHECK(sums.size() >= 5 * kSteps);
}

TEST_CASE("emulated CUDA ranks: with ZeRO 3, values are gathered while the unit before is computed") {
  const std::vector<Sent> gathers = trace_of({"parallel.zero=3"}).of("ncclAllGather");
  CHECK(std::ranges::count(gathers, 0, &Sent::work) <= kSteps);  // before the first unit of a step
  CHECK(gathers.size() >= 10 * kSteps);
}

TEST_CASE(
    "emulated CUDA ranks: shared experts are computed while rows travel, there and back, in both "
    "directions") {
  const std::vector<Sent> exchanges = trace_of({"parallel.ep=2"}).of("ncclSend");
  CHECK(exchanges.size() == 2 * 4 * kSteps);  // two micro-batches, one MoE layer
  for (const Sent& one : exchanges) {
    CAPTURE(one.start, one.wait);
    CHECK(one.products > 0);
  }
}

#endif
