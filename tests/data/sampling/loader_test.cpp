#include "data/sampling/loader.hpp"

#include <chrono>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

// 10 samples of 8 tokens in two shards.
class SmallSet {
  TempDir dir_;

 public:
  DataMix data = (test::write_shard(dir_ / "train-0.h5", test::patterned_documents(3, 13, 50), 50),
                  test::write_shard(dir_ / "train-1.h5", test::patterned_documents(3, 14, 50), 50),
                  DataMix(dir_.path(), Split::train));
  const TokenSource& source = data.source(0);
};

LoaderOptions options(std::int64_t batch, std::int64_t micro, std::int64_t rank = 0, std::int64_t world = 1) {
  return {
      .seq_len = 8, .batch_size = batch, .micro_batch_size = micro, .rank = rank, .world = world, .depth = 2};
}

TEST_CASE("loader: inputs are the sample's first tokens, targets its last") {
  SmallSet set;
  REQUIRE(set.source.summary().tokens == 81);
  Loader loader(set.data, set.data.sampler(8, SampleOrder::sequential, 0), options(4, 2));
  for (std::int64_t micro = 0; micro < 12; ++micro) {
    const Batch batch = loader.next();
    REQUIRE(batch.batch == 2);
    REQUIRE(batch.inputs.size() == 16);
    for (std::int64_t row = 0; row < 2; ++row) {
      const std::int64_t sample = (2 * micro + row) % 10;
      CHECK(batch.samples[static_cast<std::size_t>(row)] == SampleId{0, sample});
      std::vector<std::int32_t> tokens(9);
      set.source.read_sample(sample, 8, tokens);
      CHECK(std::equal(tokens.begin(), tokens.end() - 1, batch.inputs.begin() + row * 8));
      CHECK(std::equal(tokens.begin() + 1, tokens.end(), batch.targets.begin() + row * 8));
    }
  }
}

TEST_CASE("loader: with a document mask every row has its first keys, without one there are none") {
  SmallSet set;
  LoaderOptions opts = options(4, 2);
  Loader plain(set.data, set.data.sampler(8, SampleOrder::shuffled, 5), opts);
  CHECK(plain.next().first_keys.empty());
  opts.mask = DocumentMask::yes;
  Loader masked(set.data, set.data.sampler(8, SampleOrder::shuffled, 5), opts);
  for (int micro = 0; micro < 10; ++micro) {
    const Batch batch = masked.next();
    REQUIRE(batch.first_keys.size() == 16);
    for (std::size_t row = 0; row < 2; ++row) {
      std::vector<std::int32_t> keys(8);
      set.source.read_first_keys(batch.samples[row].sample, 8, keys);
      CHECK(std::equal(keys.begin(), keys.end(), batch.first_keys.begin() + static_cast<long>(row) * 8));
    }
  }
}

std::vector<SampleId> samples_of(const SmallSet& set, const LoaderOptions& opts, std::int64_t micro_batches) {
  Loader loader(set.data, set.data.sampler(8, SampleOrder::shuffled, 5), opts);
  std::vector<SampleId> samples;
  for (std::int64_t i = 0; i < micro_batches; ++i) {
    const Batch batch = loader.next();
    samples.insert(samples.end(), batch.samples.begin(), batch.samples.end());
  }
  return samples;
}

TEST_CASE("loader: a layout only decides which rank reads which samples of a step") {
  SmallSet set;
  const auto alone = samples_of(set, options(8, 8), 6);
  CHECK(samples_of(set, options(8, 2), 24) == alone);
  const std::int64_t world = GENERATE(2, 4);
  const std::int64_t per_step = 8 / (world * 2);
  std::vector<std::vector<SampleId>> ranks;
  for (std::int64_t rank = 0; rank < world; ++rank) {
    ranks.push_back(samples_of(set, options(8, 2, rank, world), 6 * per_step));
  }
  std::vector<SampleId> together;
  for (std::int64_t step = 0; step < 6; ++step) {
    for (const auto& samples : ranks) {
      const auto first = samples.begin() + step * per_step * 2;
      together.insert(together.end(), first, first + per_step * 2);
    }
  }
  CHECK(together == alone);
}

TEST_CASE("loader: a resumed loader goes on where whole steps were consumed, not where it had read ahead") {
  SmallSet set;
  const auto straight = samples_of(set, options(4, 2), 20);
  LoaderOptions opts = options(4, 2);
  Loader first(set.data, set.data.sampler(8, SampleOrder::shuffled, 5), opts);
  for (int i = 0; i < 7; ++i) static_cast<void>(first.next());
  CHECK(first.consumed_samples() == 12);  // 7 micro-batches of 2 are three and a half steps of 4
  opts.start_sample = first.consumed_samples();
  CHECK(samples_of(set, opts, 14) == std::vector(straight.begin() + 12, straight.end()));
}

TEST_CASE("loader: a batch that ranks and micro-batches cannot share is refused") {
  SmallSet set;
  const MixSampler sampler = set.data.sampler(8, SampleOrder::sequential, 0);
  CHECK_THAT(
      user_error_of([&] { Loader(set.data, sampler, options(6, 4)); }),
      Catch::Contains(
          "a batch of 6 sequences cannot be cut into micro-batches of 4 on 1 rank (train.batch_size)"));
  CHECK_THAT(user_error_of([&] { Loader(set.data, sampler, options(6, 3, 0, 4)); }),
             Catch::Contains("on 4 ranks"));
  CHECK_THAT(user_error_of([&] { Loader(set.data, sampler, options(0, 1)); }),
             Catch::Contains("a batch of 0"));
}

TEST_CASE("loader: an error while reading ahead reaches the caller of next, after what was read before") {
  const TempDir dir;
  std::filesystem::copy_file(std::filesystem::path(fixtures_dir()) / "shards" / "bad_late_checksum.h5",
                             dir / "train-0.h5");
  const DataMix data(dir.path(), Split::train);
  Loader loader(data, data.sampler(8, SampleOrder::sequential, 0), options(1, 1));
  for (int i = 0; i < 3; ++i) CHECK_NOTHROW(loader.next());
  for (int i = 0; i < 2; ++i) {
    CHECK_THAT(user_error_of([&] { static_cast<void>(loader.next()); }),
               Catch::Contains("cannot read dataset /data"));
  }
}

TEST_CASE("loader: a loader can be given up at any moment") {
  SmallSet set;
  for (int taken = 0; taken < 20; ++taken) {
    Loader loader(set.data, set.data.sampler(8, SampleOrder::shuffled, 5), options(4, 2));
    for (int i = 0; i < taken; ++i) static_cast<void>(loader.next());
    if (taken % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_CASE("loader: loaders of several ranks read one source at once") {
  SmallSet set;
  std::vector<std::vector<SampleId>> seen(4);
  std::vector<std::thread> ranks;
  for (std::size_t rank = 0; rank < seen.size(); ++rank) {
    ranks.emplace_back(
        [&, rank] { seen[rank] = samples_of(set, options(8, 1, static_cast<std::int64_t>(rank), 4), 50); });
  }
  for (std::thread& rank : ranks) rank.join();
  for (std::size_t rank = 0; rank < seen.size(); ++rank) {
    CHECK(seen[rank] == samples_of(set, options(8, 1, static_cast<std::int64_t>(rank), 4), 50));
  }
}

}  // namespace
}  // namespace granule
