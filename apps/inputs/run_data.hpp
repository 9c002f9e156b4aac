// The data of a run as its config names them, and what the run records about them.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/config/run_config.hpp"
#include "data/sampling/data_mix.hpp"
#include "data/sampling/loader.hpp"
#include "moe/training/objective.hpp"

namespace granule {

/// The section of a checkpoint's state.json with the name of the order in which the run reads its samples.
inline constexpr const char* kSampleOrderSection = "sample_order";

/// A training split, a validation split if the run evaluates, and a tokenizer if there is one.
struct RunData {
  DataMix train;
  std::optional<DataMix> validation{};
  std::optional<std::filesystem::path> tokenizer{};
  std::optional<std::int32_t> bos_of_documents{};  ///< the token that every training document begins with
  nlohmann::json identity{};                       ///< of the training data
};

/// Throws a user error if there are no such data. Also throws one if documents are to be masked and the data
/// do not tell where they end.
[[nodiscard]] RunData open_run_data(const RunConfig& config, DigestCheck digests = DigestCheck::verify);
/// The number of tokens and the SHA-256 of every source, and the SHA-256 of the tokenizer.
[[nodiscard]] nlohmann::json identity_of(const DataMix& data);

/// Takes vocab_size from the data if the config does not set it. Throws a user error if shards have another
/// vocabulary, or another tokenizer than the one with this digest. An empty digest means unknown.
void settle_vocabulary(RunConfig& config, const RunData& data, const std::string& tokenizer_sha256,
                       VocabularyOf owner = VocabularyOf::config);

/// What a step contains, over all ranks.
[[nodiscard]] StepTotals totals_of(const RunConfig& config);

/// The order in which a new run of this config reads its samples.
[[nodiscard]] SampleOrder sample_order_of(const RunConfig& config);
/// The order of the run whose checkpoint has these sections. It stays the same until the run's end. Runs from
/// before orders had names do not record it. Throws a user error for an order that is not known here.
[[nodiscard]] SampleOrder sample_order_of(const nlohmann::json& sections, const RunConfig& config,
                                          const std::string& checkpoint);
/// Chooses the samples that a run of this config reads.
[[nodiscard]] MixSampler sampler_of(const RunConfig& config, const DataMix& train, SampleOrder order);

/// The tensors of a micro-batch, without values.
[[nodiscard]] MicroBatch empty_micro_batch(Context& context, std::int64_t batch, std::int64_t seq,
                                           DocumentMask mask);
/// Makes tensors from what a loader read.
[[nodiscard]] MicroBatch to_micro_batch(Context& context, const Batch& batch);

/// Throws a user error that names the source if the data differ from `saved`, the identity in a checkpoint.
void require_same_data(const nlohmann::json& saved, const RunData& data, const std::string& checkpoint);

}  // namespace granule
