#include "apps/config/run_config_check.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "distributed/communicators/mesh.hpp"
#include "moe/model/counts.hpp"

namespace granule {
namespace {

void require(std::int64_t value, std::string_view key, std::string_view reason, const PlaceOf& place) {
  if (value > 0) return;
  const auto dot = key.find('.');
  user_error(fmt::format("{} is missing or 0", key), place(key),
             fmt::format("set {} in [{}]{}", key.substr(dot + 1), key.substr(0, dot), reason));
}

/// The place of the first of these keys that the command line sets. If it sets none, the place of the last.
std::string place_of_one(const PlaceOf& place, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    std::string where = place(key);
    if (where.starts_with("command line")) return where;
  }
  return place(*(keys.end() - 1));
}

void check_attention(const ModelConfig& model, const PlaceOf& place) {
  const std::int64_t heads = model.num_attention_heads;
  const std::int64_t kv_heads = model.num_key_value_heads;
  if (model.hidden_size % heads != 0) {
    user_error(fmt::format("model.hidden_size = {} does not divide into model.num_attention_heads = {} heads",
                           model.hidden_size, heads),
               place_of_one(place, {"model.hidden_size", "model.num_attention_heads"}),
               "choose a number of heads that divides hidden_size");
  }
  if (model.head_dim() % 2 != 0) {
    user_error(fmt::format("the heads are {} wide (model.hidden_size = {} over {} heads)", model.head_dim(),
                           model.hidden_size, heads),
               place_of_one(place, {"model.hidden_size", "model.num_attention_heads"}),
               "rotary positions need an even width; choose another number of heads");
  }
  if (model.rope_scaling.type == RopeScaling::Type::dynamic && model.head_dim() == 2) {
    user_error("dynamic rope scaling of heads that are 2 wide", place("model.rope_scaling"),
               "they have a single angle that theta does not change: use \"linear\", or wider heads");
  }
  if (kv_heads > heads || heads % kv_heads != 0) {
    user_error(
        fmt::format("model.num_attention_heads = {} is not divisible by model.num_key_value_heads = {}",
                    heads, kv_heads),
        place_of_one(place, {"model.num_attention_heads", "model.num_key_value_heads"}),
        "choose a divisor of num_attention_heads");
  }
}

void check_experts(const ModelConfig& model, const MoeConfig& moe, const PlaceOf& place) {
  require(moe.num_experts_per_tok, "moe.num_experts_per_tok", "", place);
  require(moe.moe_intermediate_size, "moe.moe_intermediate_size", "", place);
  if (moe.num_experts_per_tok > moe.n_routed_experts) {
    user_error(fmt::format("moe.num_experts_per_tok = {} exceeds moe.n_routed_experts = {}",
                           moe.num_experts_per_tok, moe.n_routed_experts),
               place_of_one(place, {"moe.n_routed_experts", "moe.num_experts_per_tok"}),
               "a token can use each routed expert only once: lower it");
  }
  if (moe.count_moe_layers(model.num_hidden_layers) == 0) {
    user_error(
        fmt::format("none of the {} layers is an MoE layer (moe.first_k_dense_replace = {}, "
                    "moe.moe_layer_freq = {})",
                    model.num_hidden_layers, moe.first_k_dense_replace, moe.moe_layer_freq),
        place_of_one(place, {"model.num_hidden_layers", "moe.moe_layer_freq", "moe.first_k_dense_replace"}),
        "lower them, or set moe.n_routed_experts = 0 for a dense model");
  }
}

/// `whole` things must be divisible into equal groups.
void check_groups(std::int64_t groups, std::string_view key, const MoeConfig& moe, const PlaceOf& place) {
  if (moe.n_routed_experts % groups == 0) return;
  user_error(fmt::format("moe.n_routed_experts = {} does not divide into {} = {} groups",
                         moe.n_routed_experts, key, groups),
             place_of_one(place, {"moe.n_routed_experts", key}), "choose a divisor of n_routed_experts");
}

void check_group_limit(const MoeConfig& moe, const PlaceOf& place) {
  check_groups(moe.n_group, "moe.n_group", moe, place);
  if (moe.topk_group > moe.n_group) {
    user_error(fmt::format("moe.topk_group = {} exceeds moe.n_group = {}", moe.topk_group, moe.n_group),
               place_of_one(place, {"moe.n_group", "moe.topk_group"}),
               "a token can use at most all groups: lower it");
  }
  const std::int64_t left = moe.experts_in_reach();
  if (moe.num_experts_per_tok > left) {
    user_error(fmt::format("moe.num_experts_per_tok = {}, but moe.topk_group = {} of moe.n_group = {} groups "
                           "leave {} experts to choose from",
                           moe.num_experts_per_tok, moe.topk_group, moe.n_group, left),
               place_of_one(place, {"moe.num_experts_per_tok", "moe.n_group", "moe.topk_group"}),
               "raise topk_group, or choose fewer experts");
  }
}

void check_losses(const MoeConfig& moe, const PlaceOf& place) {
  check_groups(moe.device_groups, "moe.device_groups", moe, place);
  if (moe.device_loss_alpha > 0.0 && moe.device_groups == 1) {
    user_error("moe.device_loss_alpha has no effect with one device group", place("moe.device_loss_alpha"),
               "set moe.device_groups, or leave it out");
  }
}

/// Its choices follow from the tokens. Nothing is learned that could be scored, limited or balanced.
void check_hash_router(const MoeConfig& moe, const PlaceOf& place) {
  const MoeConfig neutral;
  const auto without_effect = [&](bool set, std::string_view key) {
    if (!set) return;
    user_error(fmt::format("{} has no effect with moe.router = \"hash\"", key), place(key), "leave it out");
  };
  without_effect(moe.scoring_func != neutral.scoring_func, "moe.scoring_func");
  without_effect(moe.norm_topk_prob, "moe.norm_topk_prob");
  without_effect(moe.n_group != 1, "moe.n_group");
  without_effect(moe.aux_loss_alpha != 0.0, "moe.aux_loss_alpha");
  without_effect(moe.device_loss_alpha != 0.0, "moe.device_loss_alpha");
  without_effect(moe.device_groups != 1, "moe.device_groups");
  without_effect(moe.z_loss_alpha != 0.0, "moe.z_loss_alpha");
  without_effect(moe.bias_update_speed != 0.0, "moe.bias_update_speed");
}

void check_router(const MoeConfig& moe, const PlaceOf& place) {
  if (moe.router == RouterKind::hash) return check_hash_router(moe, place);
  check_group_limit(moe, place);
  check_losses(moe, place);
  if (moe.hash_seed >= 0) {
    user_error("moe.hash_seed has no effect without moe.router = \"hash\"", place("moe.hash_seed"),
               "leave it out");
  }
}

void check_batch(const RunConfig& config, std::int64_t ranks, const PlaceOf& place) {
  const RunConfig::Train& train = config.train;
  check_division(train, ranks, place_of_one(place, {"train.micro_batch_size", "train.batch_size"}),
                 "choose a smaller train.micro_batch_size, or a batch_size that is a multiple");
  if (config.data.seq_len > config.model.positions()) {
    const bool scaled = config.model.rope_scaling.type != RopeScaling::Type::none;
    user_error(
        fmt::format("data.seq_len = {} exceeds model.max_position_embeddings{} = {}", config.data.seq_len,
                    scaled ? " × model.rope_scaling.factor" : "", config.model.positions()),
        place_of_one(place, {"model.max_position_embeddings", "data.seq_len"}),
        scaled ? "shorten the sequences, or raise the factor"
               : "shorten the sequences, or raise max_position_embeddings");
  }
  if (train.steps.unit == Period::Unit::fraction) {
    user_error("train.steps is a fraction of the run it defines", place("train.steps"),
               "give it in steps (500), tokens (\"20Mt\") or epochs (\"1e\")");
  }
}

/// Sources have different lengths, so they have no epoch in common.
void check_no_epochs(const RunConfig& config, const PlaceOf& place) {
  std::vector<std::pair<std::string_view, Period>> periods{{"train.steps", config.train.steps},
                                                           {"schedule.warmup", config.schedule.warmup},
                                                           {"checkpoint.every", config.checkpoint.every},
                                                           {"eval.every", config.eval.every},
                                                           {"log.every", config.log.every}};
  for (const Period& point : config.schedule.decay_at) periods.emplace_back("schedule.decay_at", point);
  for (const auto& [key, period] : periods) {
    if (period.unit != Period::Unit::epochs) continue;
    user_error(fmt::format("{} is given in epochs, and the sources of data.mix have none in common", key),
               place(key), "give it in steps (500) or tokens (\"20Mt\")");
  }
}

void check_mix(const RunConfig& config, const PlaceOf& place) {
  const std::vector<DataMix::Part>& mix = config.data.mix;
  if (mix.empty()) return;
  if (!config.data.path.empty()) {
    user_error("data.path and data.mix are both given", place_of_one(place, {"data.path", "data.mix"}),
               "name the data in one of them; 'data.path=\"\"' takes a path back");
  }
  double sum = 0.0;
  for (const DataMix::Part& part : mix) sum += part.weight;
  for (const DataMix::Part& part : mix) {
    if (part.weight / sum >= Mixture::kSmallestShare) continue;
    user_error(
        fmt::format("data.mix gives {} a weight of {} of {}", part.directory.string(), part.weight, sum),
        place("data.mix"), "give it a millionth of the sum at least, or leave it out");
  }
  check_no_epochs(config, place);
}

void check_schedule(const RunConfig& config, const PlaceOf& place) {
  const RunConfig::Schedule& schedule = config.schedule;
  const bool steps_down = schedule.kind == ScheduleKind::warmup_step_decay;
  const bool has_minimum = schedule.kind == ScheduleKind::cosine || schedule.kind == ScheduleKind::wsd;
  const auto without_effect = [&](std::string_view key, std::string_view neutral) {
    user_error(fmt::format("{} has no effect with this schedule.kind", key), place(key),
               fmt::format("leave it out, or set it to {}", neutral));
  };
  if (has_minimum && schedule.min_lr > config.optim.lr) {
    user_error(fmt::format("schedule.min_lr = {} exceeds optim.lr = {}", schedule.min_lr, config.optim.lr),
               place_of_one(place, {"optim.lr", "schedule.min_lr"}),
               "min_lr is a learning rate, not a fraction of one");
  }
  if (!has_minimum && schedule.min_lr != 0.0) without_effect("schedule.min_lr", "0");
  if (!steps_down && schedule.decay_by != RunConfig::Schedule{}.decay_by)
    without_effect("schedule.decay_by", "0.316");
  if (schedule.kind == ScheduleKind::wsd && schedule.decay_at.size() != 1) {
    user_error(fmt::format("schedule.decay_at has {} points", schedule.decay_at.size()),
               place("schedule.decay_at"), "wsd decays from one point on: give one");
  }
  if (!steps_down && schedule.kind != ScheduleKind::wsd && !schedule.decay_at.empty()) {
    without_effect("schedule.decay_at", "[]");
  }
}

}  // namespace

void check_division(const RunConfig::Train& train, std::int64_t ranks, std::string_view where,
                    std::string_view advice) {
  if (train.divides_over(ranks)) return;
  user_error(fmt::format("train.batch_size = {} is not divisible by train.micro_batch_size = {} × {} rank{}",
                         train.batch_size, train.micro_batch_size, ranks, ranks == 1 ? "" : "s"),
             where, advice);
}

void check_model(const ModelConfig& model, const MoeConfig& moe, const PlaceOf& place) {
  require(model.hidden_size, "model.hidden_size", "", place);
  require(model.num_hidden_layers, "model.num_hidden_layers", "", place);
  require(model.num_attention_heads, "model.num_attention_heads", "", place);
  check_attention(model, place);
  if (moe.n_routed_experts > 0) {
    check_experts(model, moe, place);
    check_router(moe, place);
  }
  if (moe.n_routed_experts == 0 || moe.count_moe_layers(model.num_hidden_layers) < model.num_hidden_layers) {
    require(model.intermediate_size, "model.intermediate_size", ", the width of the dense layers", place);
  }
  static_cast<void>(count_parameters(model, moe));  // throws if no machine could hold the model
}

void check_run_config(const RunConfig& config, std::int64_t ranks, const PlaceOf& place) {
  GRANULE_CHECK(ranks >= 0, "config: {} ranks", ranks);
  check_model(config.model, config.moe, place);
  check_batch(config, std::max<std::int64_t>(ranks, 1), place);
  if (ranks > 0) check_layout(config.parallel, config.moe.n_routed_experts, ranks, place("parallel.ep"));
  check_mix(config, place);
  check_schedule(config, place);
}

}  // namespace granule
