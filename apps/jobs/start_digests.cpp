#include "apps/jobs/start_digests.hpp"

#include <algorithm>
#include <array>
#include <span>

#include <nlohmann/json.hpp>

#include "core/interruption.hpp"
#include "data/files/atomic_file.hpp"
#include "data/files/digest.hpp"
#include "distributed/zero/gathered_tensors.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::int64_t kBetweenLooks = 1 << 16;
/// Of an endless run, the first positions must do.
constexpr std::int64_t kMostPositions = std::int64_t{1} << 26;

std::string digest_of(const json& document) {
  const std::string text = document.dump();
  return sha256_of(std::as_bytes(std::span<const char>(text)));
}

std::int64_t steps_of(const RunConfig& config, const RunData& data) {
  const RunSteps steps = resolve_steps(config, data.train.samples(config.data.seq_len));
  return std::min(steps.total, kMostPositions / config.train.batch_size);
}

/// Samples tell the tokens, because the identity has the SHA-256 of every source.
std::string digest_of_batches(const RunConfig& config, const RunData& data) {
  MixSampler sampler = sampler_of(config, data.train, sample_order_of(config));
  const std::int64_t batch = config.train.batch_size;
  const std::int64_t positions = steps_of(config, data) * batch;
  Xxh3 samples;
  for (std::int64_t position = 0; position < positions; ++position) {
    const SampleId id = sampler(position);
    const std::array numbers{id.source, id.sample};
    samples.add(std::as_bytes(std::span(numbers)));
    if (position % kBetweenLooks == 0) interruption_point();
  }
  const json all{{"data", data.identity},
                 {"seq_len", config.data.seq_len},
                 {"batch_size", batch},
                 {"samples", samples.finish()}};
  return digest_of(all);
}

json digest_of_values(ShardedModel& sharded, const RunConfig& config) {
  const ShardedParameters& parameters = sharded.parameters();
  const auto tensors = global_tensors(config.model, config.moe, parameters.plan().position);
  json all = json::object();
  for (const TensorToSave& tensor : gathered_values(parameters, tensors)) {
    Xxh3 digest;
    for_each_piece(tensor, [&](std::span<const std::byte> piece) { digest.add(piece); });
    all[tensor.spec.name] = {{"shape", tensor.spec.shape}, {"xxh3", digest.finish()}};
  }
  return all;
}

}  // namespace

std::filesystem::path start_digests_of(const std::filesystem::path& run) {
  return run / "digests.json";
}

void write_start_digests(ShardedModel& sharded, const RunConfig& config, const RunData& data,
                         const std::filesystem::path& run) {
  const json values = digest_of_values(sharded, config);
  if (sharded.ranks().rank() != 0) return;
  const json digests{{"format", "granule-digests/1"},
                     {"steps", steps_of(config, data)},
                     {"data", digest_of(data.identity)},
                     {"batches", digest_of_batches(config, data)},
                     {"values", values}};
  static_cast<void>(write_file(start_digests_of(run), digests.dump(1) + "\n"));
}

}  // namespace granule
