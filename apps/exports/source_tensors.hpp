// The tensors of a model that is exported, read from its files when they are written. Nothing is loaded.
#pragma once
#include <string>
#include <vector>

#include "apps/models/model_files.hpp"
#include "data/models/safetensors_writer.hpp"
#include "nn/parameters.hpp"

namespace granule {

class SourceTensors {
 public:
  /// Throws a user error if the files do not hold the model that they describe. `files` must outlive this.
  explicit SourceTensors(const ModelFiles& files);

  [[nodiscard]] const ModelConfig& model() const { return files_.config().model; }
  [[nodiscard]] const MoeConfig& moe() const { return files_.config().moe; }
  [[nodiscard]] bool has(const std::string& name) const { return store_.has(name); }
  [[nodiscard]] TensorToSave get(const std::string& name) const;
  [[nodiscard]] std::vector<TensorToSave> parameters() const;
  /// Without those that the files do not have.
  [[nodiscard]] std::vector<TensorToSave> states() const;

 private:
  [[nodiscard]] TensorToSave saved(const std::string& name, const Shape& shape) const;

  const ModelFiles& files_;
  ParameterStore store_;
};

}  // namespace granule
