#include "tests/support/golden.hpp"

#include <cstring>

#include <nlohmann/json.hpp>

#include "core/ops/linear_cross_entropy.hpp"
#include "data/models/float_convert.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/tensors.hpp"

namespace granule::test {
namespace {

ModelConfig model_of(const nlohmann::json& c) {
  ModelConfig model;
  model.vocab_size = c.at("vocab_size");
  model.hidden_size = c.at("hidden_size");
  model.num_hidden_layers = c.at("num_hidden_layers");
  model.num_attention_heads = c.at("num_attention_heads");
  model.num_key_value_heads = c.at("num_key_value_heads");
  model.intermediate_size = c.at("intermediate_size");
  model.max_position_embeddings = c.at("max_position_embeddings");
  model.rms_norm_eps = c.at("rms_norm_eps");
  model.rope_theta = c.at("rope_theta");
  model.attention_bias = c.at("attention_bias");
  model.tie_word_embeddings = c.at("tie_word_embeddings");
  return model;
}

MoeConfig moe_of(const nlohmann::json& c) {
  MoeConfig moe;
  moe.n_routed_experts = c.at("n_routed_experts");
  moe.num_experts_per_tok = c.at("num_experts_per_tok");
  moe.n_shared_experts =
      c.at("n_shared_experts").is_null() ? 0 : c.at("n_shared_experts").get<std::int64_t>();
  moe.moe_intermediate_size = c.at("moe_intermediate_size");
  moe.first_k_dense_replace = c.at("first_k_dense_replace");
  moe.moe_layer_freq = c.at("moe_layer_freq");
  moe.norm_topk_prob = c.at("norm_topk_prob");
  moe.seq_aux = c.at("seq_aux");
  moe.aux_loss_alpha = c.at("aux_loss_alpha");
  return moe;
}

}  // namespace

Golden::Golden(const std::string& name)
    : name_(name),
      file_(SafetensorsFile::open(std::string(fixtures_dir() + "/golden/") + name + ".safetensors")) {
  const auto meta = nlohmann::json::parse(file_.metadata().at("meta"));
  model_ = model_of(meta.at("config"));
  moe_ = moe_of(meta.at("config"));
  batch_ = meta.at("batch");
  seq_ = meta.at("seq");
  rates_ = meta.at("lrs").get<std::vector<double>>();
}

const std::vector<std::string>& Golden::names() {
  static const std::vector<std::string> kNames{"seqaux", "tokaux",   "normtopk_seq", "gqa",
                                               "freq2",  "noshared", "top1_starved", "tied"};
  return kNames;
}

std::vector<double> Golden::numbers(const std::string& key) const {
  const auto view = file_.find(key);
  GRANULE_CHECK(view.has_value(), "golden {}: no {}", name_, key);
  std::vector<double> out(view->bytes.size() / static_cast<std::size_t>(size_of(view->dtype)));
  floats_from_bytes(view->dtype, view->bytes, std::span(out));
  return out;
}

std::vector<std::int64_t> Golden::integers(const std::string& key) const {
  const auto view = file_.find(key);
  GRANULE_CHECK(view.has_value() && view->dtype == DType::i64, "golden {}: no integers {}", name_, key);
  std::vector<std::int64_t> out(view->bytes.size() / sizeof(std::int64_t));
  std::memcpy(out.data(), view->bytes.data(), view->bytes.size());
  return out;
}

MicroBatch Golden::micro_batch(Context& context, std::int64_t step) const {
  const std::int64_t n = batch_ * seq_;
  std::vector<std::int32_t> ids, targets;
  const auto tokens = integers("tokens"), labels = integers("labels");
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(step * n + i);
    const bool last = i % seq_ == seq_ - 1;
    ids.push_back(static_cast<std::int32_t>(tokens[at]));
    targets.push_back(last ? kIgnoreTarget : static_cast<std::int32_t>(labels[at + 1]));
  }
  return {ids_of(context, {n}, ids), ids_of(context, {n}, targets), batch_, seq_};
}

void Golden::load_init(ParameterStore& store) const {
  for (const LogicalTensor& tensor : store.logical()) {
    const auto values = numbers("init/" + tensor.name);
    const Tensor to = store.value_of(tensor);
    GRANULE_CHECK(static_cast<std::int64_t>(values.size()) == to.numel(), "golden {}: {} has {} numbers",
                  name_, tensor.name, values.size());
    write_values(values, to);
  }
}

}  // namespace granule::test
