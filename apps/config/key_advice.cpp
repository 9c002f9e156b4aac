#include "apps/config/key_advice.hpp"

#include <algorithm>

#include <fmt/ranges.h>

#include "apps/config/run_config_keys.hpp"
#include "apps/config/run_config_pending.hpp"

namespace granule {
namespace {

/// Names that other programs use for a key, between spaces. The last member may be a sentence if we have no
/// such key.
struct Synonyms {
  std::string_view key;
  std::string_view names;
};

constexpr Synonyms kSynonyms[] = {
    {"model.vocab_size", " vocab vocabulary_size n_vocab padded_vocab_size "},
    {"model.hidden_size", " d_model n_embd n_embed dim model_dim hidden_dim embed_dim embedding_dim width "},
    {"model.num_hidden_layers", " n_layer n_layers num_layers layers depth "},
    {"model.num_attention_heads", " n_head n_heads num_heads heads attention_heads "},
    {"model.num_key_value_heads", " n_kv_head n_kv_heads num_kv_heads kv_heads num_query_groups "},
    {"model.intermediate_size", " d_ff ffn_dim ffn_hidden_size intermediate_dim mlp_dim n_inner ff_dim "},
    {"model.max_position_embeddings", " max_positions n_positions "},
    {"model.rms_norm_eps", " rms_eps norm_eps norm_epsilon layer_norm_eps layernorm_epsilon "},
    {"model.rope_theta", " rope_base rotary_base theta "},
    {"model.rope_scaling", " rope_parameters rope "},
    {"model.tie_word_embeddings", " tie_embeddings tied_embeddings tie_weights weight_tying "},
    {"model.initializer_range", " init_std initializer_std init_method_std init_range "},
    {"model.hidden_act", " activation act_fn activation_function hidden_activation "},
    {"moe.n_routed_experts",
     " num_experts n_experts n_expert experts num_local_experts moe_num_experts num_moe_experts "
     "num_routed_experts "},
    {"moe.num_experts_per_tok",
     " top_k topk k moe_top_k moe_topk router_topk router_top_k moe_router_topk num_experts_per_token "
     "experts_per_token experts_per_tok n_experts_per_tok n_activated_experts num_selected_experts "},
    {"moe.n_shared_experts", " num_shared_experts shared_experts n_shared_expert "},
    {"moe.moe_intermediate_size",
     " d_expert expert_dim expert_size expert_intermediate_size moe_ffn_hidden_size moe_hidden_size "
     "expert_hidden_size "},
    {"moe.aux_loss_alpha",
     " aux_loss aux_loss_coef aux_loss_coeff aux_loss_weight router_aux_loss_coef moe_aux_loss_coeff "
     "balance_loss balance_loss_alpha load_balance load_balancing load_balance_loss "
     "load_balancing_loss_weight "},
    {"moe.z_loss_alpha", " z_loss z_loss_coef z_loss_weight router_z_loss_coef moe_z_loss_coeff "},
    {"moe.capacity_factor", " capacity expert_capacity expert_capacity_factor moe_expert_capacity_factor "},
    {"moe.scoring_func", " score_func score_function scoring_function router_score_function "},
    {"moe.norm_topk_prob", " normalize_topk norm_topk route_norm renormalize norm_topk_probs "},
    {"moe.routed_scaling_factor", " route_scale routed_scale topk_scaling_factor "},
    {"moe.first_k_dense_replace", " n_dense_layers num_dense_layers first_k_dense "},
    {"moe.bias_update_speed", " bias_update_rate moe_router_bias_update_rate expert_bias_update_rate "},
    {"data.path",
     " data_path dataset dataset_path data_dir train train_path train_data train_dataset train_files "},
    {"data.seq_len",
     " seq_length sequence_length sequence_len seqlen max_seq_len max_seq_length max_length block_size "
     "context_length context_len ctx_len n_ctx "},
    {"data.mix", " mixture blend data_mix datasets "},
    {"optim.name", " optimizer optimizer_name optim_type "},
    {"optim.lr", " learning_rate max_lr peak_lr base_lr peak_learning_rate "},
    {"optim.betas", " beta1 beta2 adam_beta1 adam_beta2 adam_betas "},
    {"optim.eps", " epsilon adam_eps adam_epsilon "},
    {"optim.weight_decay", " wd l2 adam_weight_decay "},
    {"optim.grad_clip",
     " max_grad_norm clip_grad clip grad_norm_clip gradient_clip gradient_clip_val gradient_clipping "
     "clip_grad_norm max_norm "},
    {"schedule.kind", " lr_scheduler lr_scheduler_type lr_schedule scheduler lr_decay_style schedule_type "},
    {"schedule.warmup",
     " warmup_steps num_warmup_steps lr_warmup_steps warmup_iters lr_warmup_iters warmup_ratio "
     "warmup_tokens warm_up "},
    {"schedule.min_lr", " min_learning_rate lr_min eta_min end_lr final_lr "},
    {"schedule.decay_at", " lr_decay_steps decay_steps decay_start milestones "},
    {"train.steps",
     " max_steps num_steps n_steps total_steps train_steps training_steps num_train_steps iters max_iters "
     "train_iters num_iterations iterations epochs num_epochs num_train_epochs max_epochs max_tokens "},
    {"train.batch_size", " batch global_batch_size train_batch_size total_batch_size batchsize bs "},
    {"train.micro_batch_size",
     " micro_batch microbatch microbatch_size micro_batchsize mbs device_batch_size "
     "per_device_batch_size per_device_train_batch_size "},
    {"train.recompute",
     " gradient_checkpointing activation_checkpointing activation_recompute recompute_granularity "
     "recomputation "},
    {"train.dtype", " precision mixed_precision torch_dtype fp16 bf16 amp "},
    {"train.threads", " n_threads num_threads nthreads omp_num_threads "},
    {"train.seed", " random_seed rng_seed manual_seed "},
    {"parallel.ep", " ep_size expert_parallel expert_parallel_size expert_model_parallel_size "},
    {"parallel.zero", " zero_stage sharding zero_optimization fsdp "},
    {"checkpoint.every",
     " save_every save_steps save_interval save_freq checkpoint_interval checkpoint_every checkpoint_steps "},
    {"checkpoint.keep", " save_total_limit keep_last keep_last_k keep_latest_k max_checkpoints "},
    {"eval.every", " eval_every eval_steps eval_interval eval_freq interval val_every val_interval "},
    {"eval.batches", " eval_batches eval_iters val_batches val_iters limit_val_batches "},
    {"log.every", " log_every logging_steps log_interval log_freq log_steps "},
    {"models are trained without dropout",
     " dropout attention_dropout attn_dropout hidden_dropout hidden_dropout_prob "
     "attention_probs_dropout_prob "
     "embedding_dropout embd_pdrop attn_pdrop resid_pdrop resid_dropout dropout_rate dropout_p p_dropout "},
    {"a step has train.batch_size / (train.micro_batch_size × ranks) micro-batches",
     " gradient_accumulation gradient_accumulation_steps grad_accum grad_accum_steps accumulation_steps "
     "accumulate_grad_batches grad_accumulation_steps "},
    {"a separate thread prefetches the samples", " num_workers dataloader_num_workers workers prefetch "},
    {"ranks share data, experts (parallel.ep) and state (parallel.zero)",
     " tp pp tensor_parallel tensor_parallel_size tensor_model_parallel_size pipeline_parallel "
     "pipeline_parallel_size pipeline_model_parallel_size context_parallel dp data_parallel "},
    {"the option --out names the run directory", " out output output_dir out_dir save_dir run_dir dir "},
    {"metrics.jsonl has the metrics; log.tensorboard = true writes them for TensorBoard too",
     " wandb wandb_project use_wandb report_to logger "},
    {"a run trains on the processors of its ranks; docs/distributed.md has mpirun",
     " gpus n_gpus num_gpus num_nodes nproc_per_node world_size devices "},
    {"data.path holds both splits: give granule data build --val-fraction",
     " val_path val_data valid_path validation_path val_dataset eval_data eval_dataset "},
    {"the option --resume goes on with a run", " resume resume_from resume_from_checkpoint "},
    {"the option --init-from starts from a model", " init_from init_model pretrained load checkpoint_path "},
    {"the tokenizer is that of the data: give it to granule data build",
     " tokenizer tokenizer_path tokenizer_name "}};

std::string_view leaf_of(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

std::string_view table_of(std::string_view key) {
  return key.substr(0, key.find('.'));
}

std::vector<std::string_view> known_keys() {
  std::vector<std::string_view> known;
  for (const ConfigKey& key : config_keys()) known.push_back(key.name);
  for (const PendingKey& key : pending_keys()) {
    if (is_pending_only(key.key)) known.push_back(key.key);
  }
  return known;
}

/// A key, or a sentence if there is none. Empty if the name is in no list.
std::string_view synonym_of(std::string_view name) {
  const std::string word = fmt::format(" {} ", name);
  for (const Synonyms& row : kSynonyms) {
    if (row.names.find(word) != std::string_view::npos) return row.key;
  }
  return {};
}

bool is_key(std::string_view text) {
  return text.find(' ') == std::string_view::npos;
}

/// Counts insertions, deletions, replacements, and swaps of neighbours.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> edits(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        edits[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = edits[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      edits[i][j] = std::min({replaced, edits[i - 1][j] + 1, edits[i][j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        edits[i][j] = std::min(edits[i][j], edits[i - 2][j - 2] + 1);
    }
  }
  return edits[a.size()][b.size()];
}

std::string did_you_mean(const std::vector<std::string_view>& keys) {
  std::string list;
  for (const std::string_view key : keys) list += fmt::format("{}'{}'", list.empty() ? "" : " or ", key);
  return fmt::format("did you mean {}?", list);
}

std::string normalised(std::string_view name) {
  std::string text(name);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::string_view near_word(std::string_view word, const std::vector<std::string_view>& known,
                           std::size_t length) {
  constexpr std::size_t kLongest = 200;  // a longer word is not a typing mistake
  if (known.empty() || word.size() > kLongest) return {};
  const std::size_t most = length <= 3 ? 1 : length <= 7 ? 2 : 3;
  const auto edits = [&](std::string_view candidate) { return edits_between(word, candidate); };
  const std::string_view nearest =
      *std::min_element(known.begin(), known.end(),
                        [&](std::string_view a, std::string_view b) { return edits(a) < edits(b); });
  return edits(nearest) <= most ? nearest : std::string_view();
}

std::vector<std::string_view> keys_meant(std::string_view name) {
  const std::string word = normalised(name);
  std::vector<std::string_view> meant;
  for (const std::string_view key : known_keys()) {
    if (leaf_of(key) == word || key == word) meant.push_back(key);
  }
  const std::string_view synonym = synonym_of(word);
  if (meant.empty() && !synonym.empty() && is_key(synonym)) meant.push_back(synonym);
  return meant;
}

std::string advice_for_name(std::string_view name) {
  const std::vector<std::string_view> meant = keys_meant(name);
  if (!meant.empty()) return did_you_mean(meant);
  return std::string(synonym_of(normalised(name)));
}

std::string advice_for_key(std::string_view key) {
  const std::vector<std::string_view> known = known_keys();
  if (const std::string advice = advice_for_name(leaf_of(key)); !advice.empty()) return advice;
  const std::string_view near = near_word(key, known, leaf_of(key).size());
  if (!near.empty()) return did_you_mean({near});
  std::vector<std::string_view> leaves, tables;
  for (const std::string_view other : known) {
    if (table_of(other) == table_of(key)) leaves.push_back(leaf_of(other));
    if (std::find(tables.begin(), tables.end(), table_of(other)) == tables.end())
      tables.push_back(table_of(other));
  }
  if (leaves.empty())
    return fmt::format("the tables are {}; docs/config.md has their keys", fmt::join(tables, ", "));
  return fmt::format("the keys of [{}] are {}", table_of(key), fmt::join(leaves, ", "));
}

}  // namespace granule
