// A model that is sharded over the ranks of a job, and what these ranks compute together in a step.
#pragma once
#include <functional>

#include "distributed/zero/gathered_tensors.hpp"
#include "distributed/zero/sharded_optimizer.hpp"
#include "moe/training/objective.hpp"
#include "moe/training/router_record.hpp"

namespace granule {

class TensorSet;  // data/models/tensor_set.hpp

struct StepGradients {
  LossReport losses;
  GradientNorm norm;
};

class ShardedModel {
 public:
  /// All ranks of `world` call it together. Values are undefined until they are initialised or loaded. Throws
  /// a user error for a layout that does not fit (check_layout).
  ShardedModel(Context& context, Communicator& world, const ModelConfig& config, const MoeConfig& moe,
               Precision precision, const ParallelLayout& layout, Routing routing = Routing::natural);

  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] ShardedParameters& parameters() { return parameters_; }
  [[nodiscard]] const ShardedParameters& parameters() const { return parameters_; }
  [[nodiscard]] Communicator& ranks() const { return mesh_.world; }
  [[nodiscard]] const ParallelLayout& layout() const { return layout_; }

  /// Fills the values and states that this rank holds. Before that it checks the files against the whole
  /// model, as check_parameters() does.
  void load(const TensorSet& tensors, const std::string& source);

  /// Losses, gradients and their norm of a step over all ranks. `next` makes the micro-batches of this rank,
  /// and `totals` are those of all ranks. Afterwards the gradients are in parameters(), each rank's own
  /// parts. The record is of the whole step.
  [[nodiscard]] StepGradients compute_gradients(const StepTotals& totals, Recompute recompute,
                                                RouterRecord& record,
                                                const std::function<MicroBatch()>& next);

 private:
  void measure_shares(RouterRecord& record) const;

  ParallelLayout layout_;
  Mesh mesh_;
  Model model_;
  ShardedParameters parameters_;
  LossRecord losses_;
};

/// Every tensor of the model by its global name, in the order of its declaration on one rank. Each says which
/// ranks of a job hold it, and where.
[[nodiscard]] std::vector<GlobalTensor> global_tensors(const ModelConfig& model, const MoeConfig& moe,
                                                       const MeshPosition& at);

}  // namespace granule
