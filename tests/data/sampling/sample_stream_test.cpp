// What a run reads, as lines of step, sample and a hash of its tokens. The bytes are the same for every
// number of ranks. They are also the same if the run is resumed with another number at random steps.
#include <random>

#include <fmt/format.h>

#include "data/files/digest.hpp"
#include "data/sampling/loader.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kBatch = 16, kSeq = 8;
constexpr std::int64_t kSteps = 12;  // an epoch has 60 samples, so 192 are three epochs and a part

/// Steps (first, last], as `world` ranks read them, in the order of the ranks.
std::string stream(const DataMix& data, std::int64_t first, std::int64_t last, std::int64_t world) {
  std::vector<std::unique_ptr<Loader>> ranks;
  for (std::int64_t rank = 0; rank < world; ++rank) {
    ranks.push_back(std::make_unique<Loader>(data, data.sampler(kSeq, SampleOrder::shuffled, 3),
                                             LoaderOptions{.seq_len = kSeq,
                                                           .batch_size = kBatch,
                                                           .micro_batch_size = 1,
                                                           .start_sample = first * kBatch,
                                                           .rank = rank,
                                                           .world = world}));
  }
  std::string lines;
  for (std::int64_t step = first + 1; step <= last; ++step) {
    for (const auto& loader : ranks) {
      for (std::int64_t micro = 0; micro < loader->micro_batches_per_step(); ++micro) {
        const Batch batch = loader->next();
        lines += fmt::format("{} {} {}{}\n", step, batch.samples[0].sample,
                             xxh3_of(std::as_bytes(std::span(batch.inputs))),
                             xxh3_of(std::as_bytes(std::span(batch.targets))));
      }
    }
  }
  return lines;
}

}  // namespace

TEST_CASE(
    "sample_stream: the stream of steps, samples and tokens is byte-equal for every number of ranks and "
    "across resumes") {
  const TempDir directory;
  write_shard(directory / "train-0.h5", patterned_documents(12, 21, 50), 50);
  write_shard(directory / "train-1.h5", patterned_documents(11, 22, 50), 50);
  const DataMix data(directory.path(), Split::train);
  const std::string alone = stream(data, 0, kSteps, 1);
  for (const std::int64_t world : {2, 4, 8}) CHECK(stream(data, 0, kSteps, world) == alone);
  std::mt19937 random(5);
  const std::int64_t worlds[] = {1, 2, 4, 8};
  for (int trial = 0; trial < 5; ++trial) {
    std::string resumed;
    for (std::int64_t step = 0; step < kSteps;) {
      const std::int64_t next = std::min(kSteps, step + 1 + static_cast<std::int64_t>(random() % 4));
      resumed += stream(data, step, next, worlds[random() % 4]);
      step = next;
    }
    CHECK(resumed == alone);
  }
}
