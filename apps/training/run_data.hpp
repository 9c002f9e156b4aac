// The data of a run as its config names it, and what the run remembers of it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/config/run_config.hpp"
#include "data/sampling/data_mix.hpp"
#include "data/sampling/loader.hpp"
#include "moe/objective.hpp"

namespace granule {

/// Of a checkpoint's state.json: the name of the order in which the run reads its samples.
inline constexpr const char* kSampleOrderSection = "sample_order";

/// A training split, a validation split where the run evaluates, a tokenizer where there is one.
struct RunData {
  DataMix train;
  std::optional<DataMix> validation{};
  std::optional<std::filesystem::path> tokenizer{};
  std::optional<std::int32_t> bos_of_documents{};  ///< the token that every training document begins with
  nlohmann::json identity{};                       ///< of the training data
};

/// Throws a user error when there is no such data, or when documents shall be masked that it does not tell.
[[nodiscard]] RunData open_run_data(const RunConfig& config, DigestCheck digests = DigestCheck::verify);
/// Tokens and SHA-256 of every source, the tokenizer's.
[[nodiscard]] nlohmann::json identity_of(const DataMix& data);

/// vocab_size from the data where the config leaves it open; shards of another vocabulary, or of another
/// tokenizer than that of this digest (empty: unknown), are refused.
void settle_vocabulary(RunConfig& config, const RunData& data, const std::string& tokenizer_sha256,
                       VocabularyOf owner = VocabularyOf::config);

/// What a step holds, over all ranks.
[[nodiscard]] StepTotals totals_of(const RunConfig& config);

/// The order in which a new run of this config reads its samples.
[[nodiscard]] SampleOrder sample_order_of(const RunConfig& config);
/// The order of the run that left these sections in a checkpoint: it is kept to the run's end. Those of runs
/// that began before orders had names do not say it. Throws a user error for an order that is not known here.
[[nodiscard]] SampleOrder sample_order_of(const nlohmann::json& sections, const RunConfig& config,
                                          const std::string& checkpoint);
/// Which samples a run of this config reads.
[[nodiscard]] MixSampler sampler_of(const RunConfig& config, const DataMix& train, SampleOrder order);

/// What a loader read, as tensors.
[[nodiscard]] MicroBatch to_micro_batch(Context& context, const Batch& batch);

/// Throws a user error that names the source when the data is not what `saved`, the identity that a
/// checkpoint holds, describes.
void require_same_data(const nlohmann::json& saved, const RunData& data, const std::string& checkpoint);

}  // namespace granule
