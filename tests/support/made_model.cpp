#include "tests/support/made_model.hpp"

#include <algorithm>
#include <random>

#include <nlohmann/json.hpp>

#include "apps/models/hf_config.hpp"
#include "data/models/hf_directory.hpp"
#include "moe/model/model.hpp"
#include "tests/support/small_tokenizer.hpp"

namespace granule::test {
namespace {

std::vector<float> random_values(const LogicalTensor& tensor, std::mt19937& random) {
  // Wide enough that attention and routers prefer something, and narrow enough that logits stay small.
  const bool norm = tensor.role == ParameterRole::norm;
  std::normal_distribution<float> normal(norm ? 1.0F : 0.0F, norm ? 0.2F : 0.15F);
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.numel()));
  for (float& value : values) value = normal(random);
  return values;
}

}  // namespace

MadeModel made_model() {
  MadeModel made;
  made.model.vocab_size = 360;
  made.model.hidden_size = 64;
  made.model.num_hidden_layers = 3;
  made.model.num_attention_heads = 4;
  made.model.num_key_value_heads = 2;
  made.model.intermediate_size = 96;
  made.model.max_position_embeddings = 128;
  made.moe.n_routed_experts = 6;
  made.moe.num_experts_per_tok = 2;
  made.moe.n_shared_experts = 2;
  made.moe.moe_intermediate_size = 32;
  made.moe.first_k_dense_replace = 1;
  return made;
}

void write_model(const std::filesystem::path& directory, const MadeModel& made) {
  ParameterStore store;
  declare_parameters(store, made.model, made.moe);
  std::mt19937 random(11);
  std::vector<std::vector<float>> values;
  for (const LogicalTensor& tensor : store.logical()) values.push_back(random_values(tensor, random));
  std::vector<TensorToSave> tensors;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const LogicalTensor& tensor = store.logical()[i];
    if (!made.output_bias && tensor.name.ends_with(".o_proj.bias")) std::ranges::fill(values[i], 0.0F);
    const auto dims = tensor.shape.dims();
    tensors.push_back(tensor_of_bytes({tensor.name, DType::f32, {dims.begin(), dims.end()}},
                                      std::as_bytes(std::span(values[i]))));
  }
  const nlohmann::json config = to_json(HfConfig{made.model, made.moe, 1, 2}, "float32"), none;
  HfExport content{config, none, tensors, DType::f32};
#ifdef GRANULE_WITH_SENTENCEPIECE
  const std::filesystem::path tokenizer = directory.string() + ".tokenizer";
  std::filesystem::create_directory(tokenizer);
  std::filesystem::copy_file(small_tokenizer(), tokenizer / "tokenizer.model");
  content.extra_files = {tokenizer / "tokenizer.model"};
#endif
  write_hf_directory(directory, content);
#ifdef GRANULE_WITH_SENTENCEPIECE
  std::filesystem::remove_all(tokenizer);
#endif
}

}  // namespace granule::test
