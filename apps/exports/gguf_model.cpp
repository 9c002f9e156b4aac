#include "apps/exports/gguf_model.hpp"

#include <charconv>

namespace granule {
namespace {

using nlohmann::json;

/// The name in the file of a tensor of a block. Experts are one tensor in the file, and not among these.
std::string name_in_block(const std::string& ours) {
  static const std::map<std::string, std::string> kNames{
      {"input_layernorm.weight", "attn_norm.weight"},
      {"post_attention_layernorm.weight", "ffn_norm.weight"},
      {"self_attn.q_proj.weight", "attn_q.weight"},
      {"self_attn.k_proj.weight", "attn_k.weight"},
      {"self_attn.v_proj.weight", "attn_v.weight"},
      {"self_attn.o_proj.weight", "attn_output.weight"},
      {"self_attn.q_proj.bias", "attn_q.bias"},
      {"self_attn.k_proj.bias", "attn_k.bias"},
      {"self_attn.v_proj.bias", "attn_v.bias"},
      {"self_attn.o_proj.bias", "attn_output.bias"},
      {"mlp.gate_proj.weight", "ffn_gate.weight"},
      {"mlp.up_proj.weight", "ffn_up.weight"},
      {"mlp.down_proj.weight", "ffn_down.weight"},
      {"mlp.gate.weight", "ffn_gate_inp.weight"},
      {"mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
      {"mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
      {"mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"}};
  const auto found = kNames.find(ours);
  return found == kNames.end() ? std::string() : found->second;
}

/// A number at the beginning of a text, and what follows its point.
struct Numbered {
  std::int64_t number = -1;
  std::string rest;
};
Numbered numbered(std::string_view text) {
  Numbered result;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.number);
  if (error == std::errc() && end != text.data() + text.size() && *end == '.')
    result.rest = std::string(end + 1, text.data() + text.size());
  return result;
}

}  // namespace

GgufModel::GgufModel(const std::filesystem::path& path)
    : file_(read_export(path, [&] { return GgufFile::open(path); })) {
  const json architecture = required("general.architecture");
  if (architecture != "deepseek" && architecture != "llama")
    refuse_export(fmt::format("general.architecture = {} is not supported", architecture.dump()), path);
  prefix_ = architecture.get<std::string>() + ".";
  read_config();
  read_rope();
  model_.attention_bias = file_.find("blk.0.attn_q.bias") != nullptr;
  model_.tie_word_embeddings = file_.find("output.weight") == nullptr;
}

json GgufModel::required(const std::string& key) const {
  json value = file_.value(key);
  if (value.is_null()) refuse_export(fmt::format("the key {} is missing", key), file_.path());
  return value;
}

std::int64_t GgufModel::count(const std::string& key) const {
  const json value = required(prefix_ + key);
  if (!value.is_number_integer() || value < 0 || value > INT32_MAX)
    refuse_export(fmt::format("{}{} is no count", prefix_, key), file_.path());
  return value.get<std::int64_t>();
}

double GgufModel::number(const std::string& key) const {
  const json value = required(prefix_ + key);
  if (!value.is_number_float()) refuse_export(fmt::format("{}{} is no number", prefix_, key), file_.path());
  return value.get<double>();
}

void GgufModel::read_config() {
  model_.vocab_size = std::ssize(required("tokenizer.ggml.tokens"));
  if (model_.vocab_size != count("vocab_size"))
    refuse_export("the vocabulary has another size than the model", file_.path());
  model_.hidden_size = count("embedding_length");
  model_.num_hidden_layers = count("block_count");
  model_.num_attention_heads = count("attention.head_count");
  model_.num_key_value_heads = count("attention.head_count_kv");
  model_.intermediate_size = count("feed_forward_length");
  model_.rms_norm_eps = number("attention.layer_norm_rms_epsilon");
  if (prefix_ == "llama.") return;
  moe_.n_routed_experts = count("expert_count");
  moe_.num_experts_per_tok = count("expert_used_count");
  moe_.n_shared_experts = count("expert_shared_count");
  moe_.moe_intermediate_size = count("expert_feed_forward_length");
  moe_.first_k_dense_replace = count("leading_dense_block_count");
}

void GgufModel::read_rope() {
  model_.max_position_embeddings = count("context_length");
  model_.rope_theta = number("rope.freq_base");
  if (model_.num_attention_heads == 0 || count("rope.dimension_count") != model_.head_dim())
    refuse_export("the heads are not rotated as a whole", file_.path());
  if (file_.value(prefix_ + "rope.scaling.type") != "linear") return;
  model_.rope_scaling = {RopeScaling::Type::linear, number("rope.scaling.factor")};
  model_.max_position_embeddings = count("rope.scaling.original_context_length");
}

const GgufView& GgufModel::tensor(const std::string& name, std::size_t least) const {
  const GgufView* const found = file_.find(name);
  if (found == nullptr || static_cast<std::size_t>(found->elements()) < least)
    refuse_export(fmt::format("the tensor '{}' is missing or too short", name), file_.path());
  return *found;
}

/// Part number `part` of a tensor whose parts have the size of `out`.
void GgufModel::read_part(const GgufView& from, std::int64_t part, std::span<float> out) const {
  read_floats(from, part * std::ssize(out), out);
}

/// The file has the two rows of each rotated pair next to each other. Here they are half a head apart.
void GgufModel::read_rotated(const GgufView& from, std::span<float> out) const {
  const std::int64_t row = from.shape.size() == 1 ? 1 : from.shape.back(), head_dim = model_.head_dim();
  const std::int64_t half = head_dim / 2, pairs = std::ssize(out) / row / 2;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const std::int64_t head = pair / half, angle = pair % half;
    const auto row_of = [&](std::int64_t i) {
      return out.subspan(static_cast<std::size_t>((head * head_dim + i) * row),
                         static_cast<std::size_t>(row));
    };
    read_part(from, 2 * pair, row_of(angle));
    read_part(from, 2 * pair + 1, row_of(angle + half));
  }
}

void GgufModel::read_of_layer(const std::string& block, const std::string& rest, std::span<float> out) const {
  constexpr std::string_view kExperts = "mlp.experts.";
  if (rest.starts_with(kExperts)) {  // mlp.experts.7.up_proj.weight
    const Numbered expert = numbered(std::string_view(rest).substr(kExperts.size()));
    const std::string part = expert.rest.substr(0, expert.rest.find('_'));
    const auto least = static_cast<std::size_t>(expert.number + 1) * out.size();
    return read_part(tensor(block + "ffn_" + part + "_exps.weight", least), expert.number, out);
  }
  const std::string name = name_in_block(rest);
  if (name.empty()) refuse_export(fmt::format("there is no tensor for '{}'", rest), file_.path());
  const GgufView& from = tensor(block + name, out.size());
  if (name.starts_with("attn_q.") || name.starts_with("attn_k.")) return read_rotated(from, out);
  read_part(from, 0, out);
}

void GgufModel::read(const std::string& name, std::span<float> out) const {
  constexpr std::string_view kLayers = "model.layers.";
  if (name.starts_with(kLayers)) {
    const Numbered layer = numbered(std::string_view(name).substr(kLayers.size()));
    return read_of_layer(fmt::format("blk.{}.", layer.number), layer.rest, out);
  }
  const std::string theirs = name == "lm_head.weight"      ? "output.weight"
                             : name == "model.norm.weight" ? "output_norm.weight"
                                                           : "token_embd.weight";
  read_part(tensor(theirs, out.size()), 0, out);
}

}  // namespace granule
