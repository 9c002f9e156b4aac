#include "data/sampling/data_mix.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/files/digest.hpp"
#include "data/sampling/loader.hpp"
#include "data/shards/manifest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using test::patterned_documents;
using test::TempDir;
using test::user_error_of;
using test::write_shard;

constexpr std::int64_t kSeq = 8;

/// Three data sets with 7, 20 and 3 samples of 8 tokens. Their weights are 0.5, 0.3 and 0.2.
struct ThreeSets {
  TempDir dir;
  std::vector<DataMix::Part> parts{{dir / "a", 0.5}, {dir / "b", 0.3}, {dir / "c", 0.2}};
  std::vector<std::int64_t> samples{7, 20, 3};

  ThreeSets() {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      fs::create_directory(parts[i].directory);
      write_shard(parts[i].directory / "train-0.h5", patterned_documents(1, samples[i] * kSeq + 1, 50), 50);
    }
  }
  [[nodiscard]] DataMix open() const { return {parts, Split::train}; }
};

std::vector<SampleId> order_of(MixSampler sampler, std::int64_t first, std::int64_t count) {
  std::vector<SampleId> order;
  for (std::int64_t i = first; i < first + count; ++i) order.push_back(sampler(i));
  return order;
}

TEST_CASE("data_mix: every epoch of every source of a shuffled mix visits each of its samples exactly once") {
  const ThreeSets sets;
  const DataMix mix = sets.open();
  std::map<std::int64_t, std::vector<std::int64_t>> seen;
  for (const auto& [source, sample] : order_of(mix.sampler(kSeq, SampleOrder::shuffled, 11), 0, 1000))
    seen[source].push_back(sample);
  for (const auto& [source, visited] : seen) {
    const std::int64_t n = sets.samples[static_cast<std::size_t>(source)];
    REQUIRE(std::ssize(visited) > 10 * n);  // many epochs
    std::set<std::vector<std::int64_t>> orders;
    for (std::int64_t epoch = 0; (epoch + 1) * n <= std::ssize(visited); ++epoch) {
      std::vector<std::int64_t> once(visited.begin() + epoch * n, visited.begin() + (epoch + 1) * n);
      orders.insert(once);
      std::ranges::sort(once);
      for (std::int64_t i = 0; i < n; ++i) REQUIRE(once[static_cast<std::size_t>(i)] == i);
    }
    CHECK(orders.size() > 3);  // each has its own order; 3 samples have only six
  }
}

TEST_CASE("data_mix: the order of each source is its own, and a mix of one source is that source") {
  const ThreeSets sets;
  const DataMix one(std::vector<DataMix::Part>{{sets.parts[1].directory, 0.25}}, Split::train);
  Sampler alone(20, SampleOrder::shuffled, 11);
  const auto order = order_of(one.sampler(kSeq, SampleOrder::shuffled, 11), 0, 100);
  for (std::int64_t i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == SampleId{0, alone(i)});
  const DataMix twice(std::vector<DataMix::Part>(2, sets.parts[1]), Split::train);
  std::vector<std::int64_t> orders[2];
  for (const auto& [source, sample] : order_of(twice.sampler(kSeq, SampleOrder::shuffled, 11), 0, 40))
    orders[source].push_back(sample);
  CHECK(orders[0].size() == orders[1].size());
  CHECK(orders[0] != orders[1]);
  CHECK(epoch_permutation(30, 1, 0, 0) != epoch_permutation(30, 1, 1, 0));
  CHECK(epoch_permutation(30, 1, 1, 0) != epoch_permutation(30, 1, 1, 1));
  CHECK(epoch_permutation(30, 1, 1, 0) != epoch_permutation(30, 1, 11, 0));
}

TEST_CASE("data_mix: the order of a mix is that of its positions, whatever was asked before") {
  const ThreeSets sets;
  const DataMix mix = sets.open();
  const auto straight = order_of(mix.sampler(kSeq, SampleOrder::shuffled, 3), 0, 300);
  MixSampler sampler = mix.sampler(kSeq, SampleOrder::shuffled, 3);
  const RandomStream random(4, "jumps");
  for (std::uint64_t k = 0; k < 600; ++k) {
    const auto i = static_cast<std::int64_t>(random.below(300, k));
    REQUIRE(sampler(i) == straight[static_cast<std::size_t>(i)]);
  }
}

std::vector<SampleId> loaded(const DataMix& mix, LoaderOptions options, std::int64_t micro_batches) {
  options.seq_len = kSeq;
  options.depth = 2;
  Loader loader(mix, mix.sampler(kSeq, SampleOrder::shuffled, 3), options);
  std::vector<SampleId> samples;
  for (std::int64_t i = 0; i < micro_batches; ++i) {
    const Batch batch = loader.next();
    for (std::size_t row = 0; row < batch.samples.size(); ++row) {
      const auto [source, sample] = samples.emplace_back(batch.samples[row]);
      std::vector<std::int32_t> tokens(kSeq + 1);
      mix.source(source).read_sample(sample, kSeq, tokens);
      REQUIRE(
          std::equal(tokens.begin(), tokens.end() - 1, batch.inputs.begin() + static_cast<long>(row) * kSeq));
    }
  }
  return samples;
}

TEST_CASE("data_mix: ranks, micro-batches and restarts at any step leave the order of a mix as it is") {
  const ThreeSets sets;
  const DataMix mix = sets.open();
  const auto straight = order_of(mix.sampler(kSeq, SampleOrder::shuffled, 3), 0, 240);
  CHECK(loaded(mix, {.batch_size = 12, .micro_batch_size = 12}, 20) == straight);
  CHECK(loaded(mix, {.batch_size = 12, .micro_batch_size = 3}, 80) == straight);
  for (const std::int64_t world : {2, 4}) {
    std::vector<SampleId> together(240);
    const std::int64_t share = 12 / world;
    for (std::int64_t rank = 0; rank < world; ++rank) {
      const auto own = loaded(mix, {.batch_size = 12, .micro_batch_size = 3, .rank = rank, .world = world},
                              240 / world / 3);
      for (std::int64_t step = 0; step < 20; ++step)
        std::copy_n(own.begin() + step * share, share, together.begin() + step * 12 + rank * share);
    }
    CHECK(together == straight);
  }
  const RandomStream random(5, "restarts");
  std::vector<SampleId> resumed;
  for (std::uint64_t k = 0; resumed.size() < straight.size(); ++k) {
    const auto left = static_cast<std::int64_t>(straight.size() - resumed.size()) / 12;
    const auto steps = std::min(left, 1 + static_cast<std::int64_t>(random.below(5, k)));
    const auto part =
        loaded(mix, {.batch_size = 12, .micro_batch_size = 12, .start_sample = std::ssize(resumed)}, steps);
    resumed.insert(resumed.end(), part.begin(), part.end());
  }
  CHECK(resumed == straight);
}

TEST_CASE("data_mix: a mix counts the samples of all sources, and those before one comes again") {
  const ThreeSets sets;
  const DataMix mix = sets.open();
  CHECK(mix.samples(kSeq) == 30);
  CHECK(mix.summary().tokens == 30 * kSeq + 3);
  CHECK(mix.summary().documents == 3);
  const std::int64_t most = mix.samples_before_a_repeat(kSeq);
  const auto order = order_of(mix.sampler(kSeq, SampleOrder::sequential, 0), 0, most + 1);
  std::set<std::pair<std::int64_t, std::int64_t>> distinct;
  for (std::int64_t i = 0; i < most; ++i)
    CHECK(
        distinct.emplace(order[static_cast<std::size_t>(i)].source, order[static_cast<std::size_t>(i)].sample)
            .second);
  CHECK(distinct.contains({order.back().source, order.back().sample}));
  CHECK(most < 30);
  CHECK(DataMix(sets.parts[1].directory, Split::train).samples_before_a_repeat(kSeq) == 20);
}

TEST_CASE("data_mix: the bytes of a mix's first samples are those of each source's first samples") {
  const ThreeSets sets;
  const DataMix mix = sets.open();
  // write_shard writes three bytes for each token. So 12 samples of any sources have 12 · 8 target tokens.
  CHECK(mix.target_bytes(12, kSeq).value() == Approx(3 * 12 * kSeq));
}

TEST_CASE("data_mix: sources of another vocabulary or tokenizer are refused by name") {
  const ThreeSets sets;
  const auto with = [&](std::int64_t vocab_size, const std::string& sha256) {
    const TempDir other;
    ShardWriter writer({vocab_size, 1, 2, sha256}, Hdf5Layout::contiguous);
    writer.add_document(std::vector<std::int32_t>(20, 1), 5);
    writer.write(other / "train-0.h5");
    std::vector<DataMix::Part> parts = sets.parts;
    parts.push_back({other.path(), 1.0});
    const std::string message = user_error_of([&] { DataMix(parts, Split::train); });
    CHECK_THAT(message, Catch::Contains(other.path().string()));
    return message;
  };
  CHECK_THAT(with(51, ""), Catch::Contains("vocab_size is 51, the rest of the data says 50"));
  CHECK_THAT(with(50, "abc"), Catch::Contains("tokenizer_sha256 is abc, the rest of the data says"));
}

TEST_CASE("data_mix: the digest of a source is that of its shards, with a manifest or without") {
  const ThreeSets sets;
  const TokenSource a(sets.parts[0].directory, Split::train), b(sets.parts[1].directory, Split::train);
  CHECK(a.digest().size() == 64);
  CHECK(a.digest() != b.digest());
  const fs::path copy = sets.dir / "copy";
  fs::copy(sets.parts[0].directory, copy);
  CHECK(TokenSource(copy, Split::train).digest() == a.digest());
  write_manifest(copy / "manifest.json",
                 {50, "", {{"train-0.h5", "train", 57, 1, sha256_of_file(copy / "train-0.h5")}}});
  CHECK(TokenSource(copy, Split::train).digest() == a.digest());
}

}  // namespace
}  // namespace granule
