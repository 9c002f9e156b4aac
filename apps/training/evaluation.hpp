// Cross-entropy and load over the first samples of the data: the evaluation inside training and `granule
// eval`.
#pragma once
#include <functional>
#include <optional>

#include "data/sampling/data_mix.hpp"
#include "moe/objective.hpp"
#include "moe/routing/router_record.hpp"

namespace granule {

struct EvaluationOptions {
  std::int64_t seq_len;
  std::int64_t micro_batch_size;
  std::int64_t samples = 0;  ///< the first so many; 0: all, of several sources until one would begin again
  DocumentMask mask = DocumentMask::no;
  Capacity capacity = Capacity::unlimited;
  /// After every micro-batch, on each rank; an exception from it, of all ranks together, gives up.
  std::function<void(std::int64_t done, std::int64_t samples)> on_progress{};
  Communicator* ranks =
      nullptr;  ///< share out the micro-batches, and have the same result; nullptr: one rank
  UnitObserver* units = nullptr;  ///< of sharded parameters
};

struct Evaluation {
  std::int64_t samples = 0, tokens = 0;
  double ce = 0.0;                        ///< mean over target tokens, nats
  std::optional<double> aux{};            ///< mean over MoE layers and units of the unscaled balance loss
  double perplexity = 0.0;                ///< exp(ce)
  std::optional<double> bits_per_byte{};  ///< of the same text, where the shards say how many bytes it has
  std::vector<std::int64_t> counts{};     ///< tokens of each expert, [moe layer][expert]
  std::vector<std::int64_t> dropped{};    ///< choices that its capacity refused, [moe layer][expert]
};

/// Sources are mixed as in training, each in sequence; no sample is used twice. Throws a user error when a
/// split is shorter than one sample, or documents are to be masked that its shards do not tell.
[[nodiscard]] Evaluation evaluate(Context& context, const Model& model, const DataMix& data,
                                  const EvaluationOptions& options);

}  // namespace granule
