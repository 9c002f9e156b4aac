#include "apps/exports/source_tensors.hpp"

#include "data/models/derived_tensors.hpp"
#include "distributed/checkpoints/parameter_files.hpp"

namespace granule {

SourceTensors::SourceTensors(const ModelFiles& files) : files_(files) {
  declare_parameters(store_, model(), moe());
  check_parameters(store_, files.tensors(), files.path().string());
}

TensorToSave SourceTensors::saved(const std::string& name, const Shape& shape) const {
  const TensorView view = files_.tensors().get(name, shape.dims());
  TensorToSave tensor = tensor_of_bytes({name, view.dtype, view.shape}, view.bytes);
  return view.factor == 1.0 ? tensor : scaled(std::move(tensor), view.factor);
}

TensorToSave SourceTensors::get(const std::string& name) const {
  return saved(name, store_.find(name).shape);
}

std::vector<TensorToSave> SourceTensors::parameters() const {
  std::vector<TensorToSave> tensors;
  for (const LogicalTensor& parameter : store_.logical())
    tensors.push_back(saved(parameter.name, parameter.shape));
  return tensors;
}

std::vector<TensorToSave> SourceTensors::states() const {
  std::vector<TensorToSave> tensors;
  for (const State& state : store_.states()) {
    if (files_.tensors().find(state.name)) tensors.push_back(saved(state.name, state.shape));
  }
  return tensors;
}

}  // namespace granule
