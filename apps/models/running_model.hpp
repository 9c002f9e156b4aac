// A model that a command computes with.
#pragma once
#include <memory>

#include "apps/models/model_files.hpp"
#include "core/context.hpp"

namespace granule {

class RunningModel {
 public:
  /// Loads the weights in the dtype of `config`, without gradients. It may differ from the files' config in
  /// keys that do not change shapes.
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
