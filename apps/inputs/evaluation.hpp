// Cross-entropy and expert load over the first samples of the data. Training and `granule eval` use it.
#pragma once
#include <functional>
#include <optional>

#include "data/sampling/data_mix.hpp"
#include "data/sampling/loader.hpp"
#include "moe/training/objective.hpp"
#include "moe/training/router_record.hpp"

namespace granule {

/// Follows an evaluation token by token.
class TokenFollower : public ChoiceObserver {
 public:
  /// Called after every micro-batch, and after its choices were told.
  virtual void on_batch(const Batch& batch) = 0;
};

struct EvaluationOptions {
  std::int64_t seq_len;
  std::int64_t micro_batch_size;
  /// How many of the first samples are evaluated. 0 means all. With several sources, the evaluation then ends
  /// before any source begins again.
  std::int64_t samples = 0;
  DocumentMask mask = DocumentMask::no;
  Capacity capacity = Capacity::unlimited;
  Ablation ablation{};
  TokenFollower* follower = nullptr;  ///< on one rank
  /// Called after every micro-batch on each rank. If all ranks throw an exception from it, the evaluation
  /// ends.
  std::function<void(std::int64_t done, std::int64_t samples)> on_progress{};
  /// These ranks divide the micro-batches among themselves, and all get the same result. nullptr means
  /// one rank.
  Communicator* ranks = nullptr;
  UnitObserver* units = nullptr;  ///< for sharded parameters
};

struct Evaluation {
  std::int64_t samples = 0, tokens = 0;
  double ce = 0.0;                        ///< mean over target tokens, in nats
  std::optional<double> aux{};            ///< mean over MoE layers and units of the unscaled balance loss
  double perplexity = 0.0;                ///< exp(ce)
  std::optional<double> bits_per_byte{};  ///< of the same text, if the shards say how many bytes it has
  std::vector<std::int64_t> counts{};     ///< tokens of each expert, [moe layer][expert]
  std::vector<std::int64_t> dropped{};    ///< choices refused by the capacity, [moe layer][expert]
};

/// Sources are mixed as in training, each in sequence, and no sample is used twice. Throws a user error if a
/// split is shorter than one sample. Also throws one if documents are to be masked and the shards do not tell
/// where they end.
[[nodiscard]] Evaluation evaluate(Context& context, const Model& model, const DataMix& data,
                                  const EvaluationOptions& options);

}  // namespace granule
