// A model that a command computes with.
#pragma once
#include <memory>

#include "apps/models/model_files.hpp"
#include "core/context.hpp"

namespace granule {

/// What to do if a model computes numbers that are not finite. Its weights are finite, or they would not have
/// been read.
inline constexpr const char* kNotFiniteAdvice =
    "its weights are finite, but lead to numbers that are not: use an earlier checkpoint";

class RunningModel {
 public:
  /// Loads the weights in the dtype of `config`, without gradients. `config` may differ from that of the
  /// files in keys that do not change shapes.
  RunningModel(const ModelFiles& files, const RunConfig& config);
  /// With all threads of this machine: the one that it was trained on may have had others.
  explicit RunningModel(const ModelFiles& files);

  [[nodiscard]] Context& context() { return context_; }
  [[nodiscard]] const Model& model() const { return *model_; }

 private:
  Context context_;
  std::unique_ptr<Model> model_;
};

}  // namespace granule
