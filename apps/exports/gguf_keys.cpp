#include "apps/exports/gguf_keys.hpp"

#include <algorithm>
#include <set>

#include "apps/models/chat_templates.hpp"
#include "apps/models/qwen2moe.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

std::uint32_t as_u32(std::int64_t value) {
  GRANULE_CHECK(value >= 0 && value <= UINT32_MAX, "gguf: {} is no 32-bit count", value);
  return static_cast<std::uint32_t>(value);
}

/// general.file_type, by llama.cpp's numbers.
std::uint32_t file_type(StoredType type) {
  switch (type) {
    case StoredType::f16:
      return 1;
    case StoredType::q8_0:
      return 7;
    case StoredType::bf16:
      return 32;
    case StoredType::f32:
      break;
  }
  return 0;
}

/// Layers before the first MoE layer. Without MoE layers, all of them.
std::int64_t leading_dense_layers(const ModelConfig& model, const MoeConfig& moe) {
  std::int64_t layer = 0;
  while (layer < model.num_hidden_layers && !moe.is_moe_layer(layer)) ++layer;
  return layer;
}

void add_expert_keys(GgufMetadata& metadata, const std::string& prefix, const ModelConfig& model,
                     const MoeConfig& moe) {
  const auto count = [&](const char* key, std::int64_t value) { metadata.add(prefix + key, as_u32(value)); };
  count("leading_dense_block_count", leading_dense_layers(model, moe));
  count("expert_count", moe.n_routed_experts);
  count("expert_used_count", moe.num_experts_per_tok);
  count("expert_feed_forward_length", moe.moe_intermediate_size);
  count("expert_shared_count", std::max<std::int64_t>(moe.n_shared_experts, 1));
  metadata.add(prefix + "expert_weights_scale", 1.0F);
}

void add_rope_keys(GgufMetadata& metadata, const std::string& prefix, const ModelConfig& model) {
  metadata.add(prefix + "rope.dimension_count", as_u32(model.head_dim()));
  metadata.add(prefix + "rope.freq_base", static_cast<float>(model.rope_theta));
  if (model.rope_scaling.type == RopeScaling::Type::none) return;
  metadata.add(prefix + "rope.scaling.type", "linear");
  metadata.add(prefix + "rope.scaling.factor", static_cast<float>(model.rope_scaling.factor));
  metadata.add(prefix + "rope.scaling.original_context_length", as_u32(model.max_position_embeddings));
}

std::int32_t type_of(PieceKind kind) {
  switch (kind) {
    case PieceKind::normal:
      return 1;
    case PieceKind::unknown:
      return 2;
    case PieceKind::control:
      return 3;
    case PieceKind::user_defined:
      return 4;
    case PieceKind::unused:
      return 5;
    case PieceKind::byte:
      return 6;
  }
  return 1;
}

struct Columns {
  std::vector<std::string> tokens{};
  std::vector<float> scores{};
  std::vector<std::int32_t> types{};
};

/// An id without a token, and an id after the last one, is a token that no text contains. llama.cpp needs
/// names that differ.
Columns columns_of(const VocabularyListing& listing, std::int64_t vocab_size) {
  Columns columns;
  std::set<std::string> taken;
  for (const ListedPiece& piece : listing.pieces) taken.insert(piece.text);
  const auto padding = [&](std::int64_t id) {
    std::string name = fmt::format("[PAD{}]", id);
    while (!taken.insert(name).second) name += '_';
    return name;
  };
  for (std::int64_t id = 0; id < vocab_size; ++id) {
    const bool listed = id < std::ssize(listing.pieces);
    const ListedPiece piece = listed ? listing.pieces[static_cast<std::size_t>(id)] : ListedPiece{};
    const bool unused = !listed || (piece.kind == PieceKind::unused && piece.text.empty());
    columns.tokens.push_back(unused ? padding(id) : piece.text);
    columns.scores.push_back(unused ? 0.0F : piece.score);
    columns.types.push_back(type_of(unused ? PieceKind::unused : piece.kind));
  }
  return columns;
}

void require_known(const VocabularyListing& listing, const Tokenizer& tokenizer) {
  if (!listing.obstacle.empty())
    user_error(fmt::format("llama.cpp would find other tokens than this tokenizer: {}", listing.obstacle),
               tokenizer.path().string(),
               "use --format hf or hf-qwen2moe, or train with a tokenizer of granule tokenizer train");
  GRANULE_ASSERT(listing.scheme == VocabularyListing::Scheme::scores || listing.llama_cpp_pre_tokenizer,
                 "a listing without obstacle has no name of its rules");
}

void add_special_ids(GgufMetadata& metadata, const Tokenizer& tokenizer, std::optional<std::int32_t> bos) {
  const auto id = [&](const char* key, std::optional<std::int32_t> value) {
    if (value) metadata.add(fmt::format("tokenizer.ggml.{}_token_id", key), as_u32(*value));
  };
  id("bos", bos ? bos : tokenizer.bos_id());
  id("eos", tokenizer.eos_id());
  id("unknown", tokenizer.unknown_id());
  metadata.add("tokenizer.ggml.add_bos_token", bos.has_value());
  metadata.add("tokenizer.ggml.add_eos_token", false);
}

}  // namespace

void add_model_keys(GgufMetadata& metadata, const ModelConfig& model, const MoeConfig& moe, StoredType type,
                    const std::string& name) {
  const bool has_experts = moe.count_moe_layers(model.num_hidden_layers) > 0;
  const std::string architecture = has_experts ? "deepseek" : "llama", prefix = architecture + ".";
  metadata.add("general.architecture", architecture);
  metadata.add("general.name", name);
  metadata.add("general.file_type", file_type(type));
  metadata.add("general.quantization_version", std::uint32_t{2});
  metadata.add("general.alignment", as_u32(kGgufAlignment));
  const auto count = [&](const char* key, std::int64_t value) { metadata.add(prefix + key, as_u32(value)); };
  count("vocab_size", model.vocab_size);
  count("context_length", model.positions());
  count("embedding_length", model.hidden_size);
  count("block_count", model.num_hidden_layers);
  // A model without dense layers may have no width for them, but llama.cpp asks for one.
  count("feed_forward_length",
        model.intermediate_size > 0 ? model.intermediate_size : moe.moe_intermediate_size);
  count("attention.head_count", model.num_attention_heads);
  count("attention.head_count_kv", model.kv_heads());
  metadata.add(prefix + "attention.layer_norm_rms_epsilon", static_cast<float>(model.rms_norm_eps));
  add_rope_keys(metadata, prefix, model);
  if (has_experts) add_expert_keys(metadata, prefix, model, moe);
}

std::string add_tokenizer_keys(GgufMetadata& metadata, const Tokenizer& tokenizer,
                               std::optional<std::int32_t> bos, std::int64_t vocab_size) {
  const VocabularyListing listing = tokenizer.listing();
  require_known(listing, tokenizer);
  const Columns columns = columns_of(listing, vocab_size);
  const bool merges = listing.scheme == VocabularyListing::Scheme::merges;
  metadata.add("tokenizer.ggml.model", merges ? "gpt2" : "llama");
  metadata.add("tokenizer.ggml.pre", merges ? *listing.llama_cpp_pre_tokenizer : "default");
  metadata.add("tokenizer.ggml.tokens", std::span<const std::string>(columns.tokens));
  if (!merges) metadata.add("tokenizer.ggml.scores", std::span<const float>(columns.scores));
  metadata.add("tokenizer.ggml.token_type", std::span<const std::int32_t>(columns.types));
  if (merges) metadata.add("tokenizer.ggml.merges", std::span<const std::string>(listing.merges));
  metadata.add("tokenizer.ggml.add_space_prefix", listing.adds_space_prefix);
  add_special_ids(metadata, tokenizer, bos);
  return listing.caveat;
}

void add_chat_templates(GgufMetadata& metadata, const std::map<std::string, std::string>& templates) {
  constexpr std::string_view key = "tokenizer.chat_template";
  std::vector<std::string> names;
  for (const auto& [name, text] : templates) {
    if (name == kDefaultChatTemplate) {
      metadata.add(key, text);
    } else {
      names.push_back(name);
      metadata.add(fmt::format("{}.{}", key, name), text);
    }
  }
  if (!names.empty()) metadata.add("tokenizer.chat_templates", std::span<const std::string>(names));
}

}  // namespace granule
