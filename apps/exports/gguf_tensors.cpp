#include "apps/exports/gguf_tensors.hpp"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "data/models/derived_tensors.hpp"

namespace granule {
namespace {

GgufType gguf_type(StoredType type) {
  switch (type) {
    case StoredType::f16:
      return GgufType::f16;
    case StoredType::bf16:
      return GgufType::bf16;
    case StoredType::q8_0:
      return GgufType::q8_0;
    case StoredType::f32:
      break;
  }
  return GgufType::f32;
}

/// From a row of q or k in the file to the row of the model.
std::int64_t rotated_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t head = row / head_dim, inside = row % head_dim;
  return head * head_dim + inside / 2 + (inside % 2) * (head_dim / 2);
}

class Tensors {
 public:
  Tensors(const SourceTensors& source, StoredType type)
      : source_(source), model_(source.model()), moe_(source.moe()), type_(gguf_type(type)) {}

  std::vector<GgufTensor> all() {
    matrix(source_.get("model.embed_tokens.weight"), "token_embd.weight");
    for (std::int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) add_layer(layer);
    exact("model.norm.weight", "output_norm.weight");
    const bool tied = !source_.has("lm_head.weight");
    matrix(source_.get(tied ? "model.embed_tokens.weight" : "lm_head.weight"), "output.weight");
    return std::move(tensors_);
  }

 private:
  void matrix(TensorToSave tensor, std::string name) {
    const bool whole_blocks = tensor.spec.shape.back() % block_elements(type_) == 0;
    tensors_.push_back({renamed(std::move(tensor), std::move(name)), whole_blocks ? type_ : GgufType::f16});
  }
  void exact(const std::string& ours, std::string theirs) {
    tensors_.push_back({renamed(source_.get(ours), std::move(theirs)), GgufType::f32});
  }

  void add_layer(std::int64_t layer) {
    const std::string ours = fmt::format("model.layers.{}", layer), theirs = fmt::format("blk.{}", layer);
    exact(ours + ".input_layernorm.weight", theirs + ".attn_norm.weight");
    add_attention(ours + ".self_attn", theirs);
    exact(ours + ".post_attention_layernorm.weight", theirs + ".ffn_norm.weight");
    if (moe_.is_moe_layer(layer)) {
      add_experts(ours + ".mlp", theirs);
    } else {
      for (const char* const part : {"gate", "up", "down"})
        matrix(source_.get(fmt::format("{}.mlp.{}_proj.weight", ours, part)),
               fmt::format("{}.ffn_{}.weight", theirs, part));
    }
  }

  void add_attention(const std::string& ours, const std::string& theirs) {
    const std::pair<const char*, const char*> parts[] = {
        {"q_proj", "attn_q"}, {"k_proj", "attn_k"}, {"v_proj", "attn_v"}, {"o_proj", "attn_output"}};
    for (const auto& [our_part, their_part] : parts) {
      const bool rotated = our_part[0] == 'q' || our_part[0] == 'k';
      const auto in_order = [&](TensorToSave tensor) {
        if (!rotated) return tensor;
        const std::int64_t head_dim = model_.head_dim();
        return with_rows(std::move(tensor), [=](std::int64_t row) { return rotated_row(row, head_dim); });
      };
      matrix(in_order(source_.get(fmt::format("{}.{}.weight", ours, our_part))),
             fmt::format("{}.{}.weight", theirs, their_part));
      if (!model_.attention_bias) continue;
      TensorToSave bias = in_order(source_.get(fmt::format("{}.{}.bias", ours, our_part)));
      tensors_.push_back(
          {renamed(std::move(bias), fmt::format("{}.{}.bias", theirs, their_part)), GgufType::f32});
    }
  }

  void add_experts(const std::string& ours, const std::string& theirs) {
    exact(ours + ".gate.weight", theirs + ".ffn_gate_inp.weight");
    for (const char* const part : {"gate", "up", "down"}) {
      std::vector<TensorToSave> experts;
      for (std::int64_t expert = 0; expert < moe_.n_routed_experts; ++expert)
        experts.push_back(source_.get(fmt::format("{}.experts.{}.{}_proj.weight", ours, expert, part)));
      const std::string name = fmt::format("{}.ffn_{}_exps.weight", theirs, part);
      matrix(stacked(name, std::move(experts)), name);
    }
    for (const char* const part : {"gate", "up", "down"})
      matrix(shared_expert(ours, part), fmt::format("{}.ffn_{}_shexp.weight", theirs, part));
  }

  [[nodiscard]] TensorToSave shared_expert(const std::string& ours, std::string_view part) const {
    if (moe_.n_shared_experts > 0)
      return source_.get(fmt::format("{}.shared_experts.{}_proj.weight", ours, part));
    std::vector<std::int64_t> shape{moe_.moe_intermediate_size, model_.hidden_size};
    if (part == "down") std::swap(shape[0], shape[1]);
    return zeros({"", DType::f32, std::move(shape)});
  }

  const SourceTensors& source_;
  const ModelConfig& model_;
  const MoeConfig& moe_;
  GgufType type_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace

std::vector<GgufTensor> gguf_tensors(const SourceTensors& source, StoredType type) {
  return Tensors(source, type).all();
}

}  // namespace granule
