#include "apps/config/run_config_keys.hpp"

#include <algorithm>
#include <utility>

#include "apps/config/key_advice.hpp"
#include "apps/config/run_config_pending.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;
using Trait = ConfigKey::Trait;
using End = NumberRange::End;

constexpr IntegerRange kCount{0, 1'000'000'000};
constexpr IntegerRange kPositive{1, 1'000'000'000};
constexpr IntegerRange kWidth{0, 1 << 20};
constexpr IntegerRange kPositiveWidth{1, 1 << 20};
constexpr IntegerRange kLayers{1, 10'000};
constexpr IntegerRange kExperts{0, 65'535};
constexpr IntegerRange kGroups{1, 65'535};
constexpr IntegerRange kSequence{0, 1 << 24};
constexpr IntegerRange kSeed{0};
constexpr NumberRange kNotNegative{0.0, 1e6};
constexpr NumberRange kAboveZero{0.0, 1e30, End::excluded};
constexpr NumberRange kShare{0.0, 1.0, End::excluded};
constexpr NumberRange kMomentum{0.0, 1.0, End::included, End::excluded};

// `at` returns the member of a config, which may be const.
template <class At>
ConfigKey integer(std::string_view name, At at, IntegerRange range, Trait trait = Trait::none) {
  return {name, trait, [at](const RunConfig& c) { return json(at(c)); },
          [at, range](RunConfig& c, const ConfigEntry& entry) { at(c) = integer_of(entry, range); }};
}

template <class At>
ConfigKey number(std::string_view name, At at, NumberRange range, Trait trait = Trait::none) {
  return {name, trait, [at](const RunConfig& c) { return json(at(c)); },
          [at, range](RunConfig& c, const ConfigEntry& entry) { at(c) = number_of(entry, range); }};
}

template <class At>
ConfigKey boolean(std::string_view name, At at, Trait trait = Trait::none) {
  return {name, trait, [at](const RunConfig& c) { return json(at(c)); },
          [at](RunConfig& c, const ConfigEntry& entry) { at(c) = boolean_of(entry); }};
}

enum class Zero : std::uint8_t { allowed, refused };

template <class At>
ConfigKey period(std::string_view name, At at, Zero zero, Trait trait = Trait::none) {
  const auto set = [at, zero](RunConfig& c, const ConfigEntry& entry) {
    if (zero == Zero::refused && entry.value.is_number() && entry.value < 0)
      out_of_range(entry, "more than 0");
    at(c) = period_of(entry);
    if (zero == Zero::refused && at(c).amount == 0.0) out_of_range(entry, "more than 0");
  };
  return {name, trait, [at](const RunConfig& c) { return to_json(at(c)); }, set};
}

template <class At, class E>
ConfigKey choice(std::string_view name, At at, std::vector<std::pair<std::string_view, E>> values,
                 Trait trait = Trait::none) {
  std::vector<std::string_view> words;
  for (const auto& [word, value] : values) words.push_back(word);
  const auto get = [at, values](const RunConfig& c) {
    const auto found =
        std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.second == at(c); });
    GRANULE_CHECK(found != values.end(), "config: a member has a value without a name");
    return json(found->first);
  };
  const auto set = [at, values, words](RunConfig& c, const ConfigEntry& entry) {
    at(c) = values[choice_of(entry, words)].second;
  };
  return {name, trait, get, set};
}

void read_betas(RunConfig& config, const ConfigEntry& entry) {
  if (!entry.value.is_array() || entry.value.size() != 2) wrong_type(entry, "two numbers, [0.9, 0.95]");
  for (std::size_t i = 0; i < 2; ++i) {
    ConfigEntry one = entry;
    one.value = entry.value[i];
    config.optim.betas[i] = number_of(one, kMomentum);
  }
}

void read_decay_at(RunConfig& config, const ConfigEntry& entry) {
  ConfigEntry one = entry;
  std::vector<Period> points;
  const json list = entry.value.is_array() ? entry.value : json::array({entry.value});
  for (const json& value : list) {
    one.value = value;
    points.push_back(period_of(one));
    if (points.back().amount == 0.0) out_of_range(one, "more than 0");
    const bool comparable = points.size() > 1 && points.back().unit == points[points.size() - 2].unit;
    if (comparable && points.back().amount <= points[points.size() - 2].amount)
      out_of_range(entry, "ascending");
  }
  config.schedule.decay_at = std::move(points);
}

json decay_at_of(const RunConfig& config) {
  json list = json::array();
  for (const Period& point : config.schedule.decay_at) list.push_back(to_json(point));
  return list;
}

#define GRANULE_AT(member) \
  [](auto& c) -> auto& {   \
    return c.member;       \
  }

void add_model_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(integer("model.vocab_size", GRANULE_AT(model.vocab_size), kCount, Trait::shape));
  keys.push_back(integer("model.hidden_size", GRANULE_AT(model.hidden_size), kPositiveWidth, Trait::shape));
  keys.push_back(
      integer("model.num_hidden_layers", GRANULE_AT(model.num_hidden_layers), kLayers, Trait::shape));
  keys.push_back(integer("model.num_attention_heads", GRANULE_AT(model.num_attention_heads), kPositiveWidth,
                         Trait::shape));
  keys.push_back(
      integer("model.num_key_value_heads", GRANULE_AT(model.num_key_value_heads), kWidth, Trait::shape));
  keys.push_back(
      integer("model.intermediate_size", GRANULE_AT(model.intermediate_size), kWidth, Trait::shape));
  keys.push_back(
      integer("model.max_position_embeddings", GRANULE_AT(model.max_position_embeddings), {1, 1 << 24}));
  keys.push_back(number("model.rms_norm_eps", GRANULE_AT(model.rms_norm_eps), {0.0, 1.0}));
  keys.push_back(number("model.rope_theta", GRANULE_AT(model.rope_theta), kAboveZero));
  keys.push_back(rope_scaling_key());
  keys.push_back(boolean("model.attention_bias", GRANULE_AT(model.attention_bias), Trait::shape));
  keys.push_back(boolean("model.tie_word_embeddings", GRANULE_AT(model.tie_word_embeddings), Trait::shape));
  keys.push_back(number("model.initializer_range", GRANULE_AT(model.initializer_range), kNotNegative));
}

void add_router_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(choice("moe.router", GRANULE_AT(moe.router),
                        std::vector<std::pair<std::string_view, RouterKind>>{{"topk", RouterKind::topk},
                                                                             {"hash", RouterKind::hash}},
                        Trait::shape));
  keys.push_back(integer("moe.hash_seed", GRANULE_AT(moe.hash_seed), {-1}));
  keys.push_back(choice("moe.scoring_func", GRANULE_AT(moe.scoring_func),
                        std::vector<std::pair<std::string_view, ScoringFunction>>{
                            {"softmax", ScoringFunction::softmax}, {"sigmoid", ScoringFunction::sigmoid}},
                        Trait::shape));
  keys.push_back(boolean("moe.norm_topk_prob", GRANULE_AT(moe.norm_topk_prob)));
  keys.push_back(number("moe.routed_scaling_factor", GRANULE_AT(moe.routed_scaling_factor), kAboveZero));
  keys.push_back(integer("moe.n_group", GRANULE_AT(moe.n_group), kGroups));
  keys.push_back(integer("moe.topk_group", GRANULE_AT(moe.topk_group), kGroups));
}

void add_balance_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(boolean("moe.seq_aux", GRANULE_AT(moe.seq_aux)));
  keys.push_back(number("moe.aux_loss_alpha", GRANULE_AT(moe.aux_loss_alpha), kNotNegative));
  keys.push_back(number("moe.device_loss_alpha", GRANULE_AT(moe.device_loss_alpha), kNotNegative));
  keys.push_back(integer("moe.device_groups", GRANULE_AT(moe.device_groups), kGroups));
  keys.push_back(number("moe.z_loss_alpha", GRANULE_AT(moe.z_loss_alpha), kNotNegative));
  keys.push_back(number("moe.bias_update_speed", GRANULE_AT(moe.bias_update_speed), kNotNegative));
  keys.push_back(number("moe.capacity_factor", GRANULE_AT(moe.capacity_factor), kNotNegative));
}

void add_moe_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(integer("moe.n_routed_experts", GRANULE_AT(moe.n_routed_experts), kExperts, Trait::shape));
  keys.push_back(integer("moe.num_experts_per_tok", GRANULE_AT(moe.num_experts_per_tok), kExperts));
  keys.push_back(integer("moe.n_shared_experts", GRANULE_AT(moe.n_shared_experts), kExperts, Trait::shape));
  keys.push_back(
      integer("moe.moe_intermediate_size", GRANULE_AT(moe.moe_intermediate_size), kWidth, Trait::shape));
  keys.push_back(
      integer("moe.first_k_dense_replace", GRANULE_AT(moe.first_k_dense_replace), {0, 10'000}, Trait::shape));
  keys.push_back(integer("moe.moe_layer_freq", GRANULE_AT(moe.moe_layer_freq), kLayers, Trait::shape));
}

void add_data_and_optim_keys(std::vector<ConfigKey>& keys) {
  keys.push_back({"data.path", Trait::agreed, [](const RunConfig& c) { return json(c.data.path.string()); },
                  [](RunConfig& c, const ConfigEntry& entry) { c.data.path = path_of(entry); }});
  keys.push_back(integer("data.seq_len", GRANULE_AT(data.seq_len), kSequence));
  keys.push_back(boolean("data.shuffle", GRANULE_AT(data.shuffle)));
  keys.push_back(integer("data.seed", GRANULE_AT(data.seed), kSeed));
  keys.push_back(boolean("data.document_mask", GRANULE_AT(data.document_mask)));
  keys.push_back(mix_key());
  keys.push_back(
      {"optim.name", Trait::none, [](const RunConfig&) { return json("adamw"); },
       [](RunConfig&, const ConfigEntry& entry) { static_cast<void>(choice_of(entry, {"adamw"})); }});
  keys.push_back(number("optim.lr", GRANULE_AT(optim.lr), kNotNegative));
  keys.push_back(
      {"optim.betas", Trait::none, [](const RunConfig& c) { return json(c.optim.betas); }, read_betas});
  keys.push_back(number("optim.eps", GRANULE_AT(optim.eps), kAboveZero));
  keys.push_back(number("optim.weight_decay", GRANULE_AT(optim.weight_decay), kNotNegative));
  keys.push_back(boolean("optim.decay_norms", GRANULE_AT(optim.decay_norms)));
  keys.push_back(number("optim.grad_clip", GRANULE_AT(optim.grad_clip), kNotNegative));
}

void add_schedule_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(choice<>("schedule.kind", GRANULE_AT(schedule.kind),
                          std::vector<std::pair<std::string_view, ScheduleKind>>{
                              {"warmup_step_decay", ScheduleKind::warmup_step_decay},
                              {"cosine", ScheduleKind::cosine},
                              {"wsd", ScheduleKind::wsd},
                              {"constant", ScheduleKind::constant}}));
  keys.push_back(period("schedule.warmup", GRANULE_AT(schedule.warmup), Zero::allowed));
  keys.push_back({"schedule.decay_at", Trait::none, decay_at_of, read_decay_at});
  keys.push_back(number("schedule.decay_by", GRANULE_AT(schedule.decay_by), kShare));
  keys.push_back(number("schedule.min_lr", GRANULE_AT(schedule.min_lr), kNotNegative));
}

void add_train_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(period("train.steps", GRANULE_AT(train.steps), Zero::refused, Trait::layout));
  keys.push_back(integer("train.batch_size", GRANULE_AT(train.batch_size), kPositive));
  keys.push_back(
      integer("train.micro_batch_size", GRANULE_AT(train.micro_batch_size), kPositive, Trait::agreed));
  keys.push_back(integer("train.seed", GRANULE_AT(train.seed), kSeed));
  keys.push_back(choice("train.recompute", GRANULE_AT(train.recompute),
                        std::vector(kRecomputeNames.begin(), kRecomputeNames.end()), Trait::layout));
  keys.push_back(choice("train.dtype", GRANULE_AT(train.dtype),
                        std::vector<std::pair<std::string_view, DType>>{
                            {"f32", DType::f32}, {"bf16", DType::bf16}, {"f64", DType::f64}}));
  keys.push_back(choice("train.device", GRANULE_AT(train.device),
                        std::vector<std::pair<std::string_view, DeviceType>>{{"cpu", DeviceType::cpu},
                                                                             {"cuda", DeviceType::cuda}}));
  keys.push_back(integer("train.threads", GRANULE_AT(train.threads), {0, 1024}, Trait::layout));
  keys.push_back(integer("train.max_skips", GRANULE_AT(train.max_skips), kCount));
  keys.push_back(number("train.spike_sigma", GRANULE_AT(train.spike_sigma), kNotNegative));
}

void add_parallel_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(integer("parallel.ep", GRANULE_AT(parallel.ep), {1, 65'535}, Trait::layout));
  keys.push_back(integer("parallel.zero", GRANULE_AT(parallel.zero), {0, 3}, Trait::layout));
  keys.push_back(
      integer("parallel.receive_limit", GRANULE_AT(parallel.receive_limit), kCount, Trait::layout));
  keys.push_back(
      integer("parallel.watchdog_seconds", GRANULE_AT(parallel.watchdog_seconds), kCount, Trait::layout));
  keys.push_back(boolean("parallel.deterministic", GRANULE_AT(parallel.deterministic), Trait::layout));
  keys.push_back(boolean("parallel.offload", GRANULE_AT(parallel.offload), Trait::layout));
}

void add_output_keys(std::vector<ConfigKey>& keys) {
  keys.push_back(period("checkpoint.every", GRANULE_AT(checkpoint.every), Zero::allowed, Trait::layout));
  keys.push_back(integer("checkpoint.keep", GRANULE_AT(checkpoint.keep), kCount, Trait::layout));
  keys.push_back(period("eval.every", GRANULE_AT(eval.every), Zero::allowed, Trait::layout));
  keys.push_back(integer("eval.batches", GRANULE_AT(eval.batches), kCount, Trait::layout));
  keys.push_back(period("log.every", GRANULE_AT(log.every), Zero::refused, Trait::layout));
  keys.push_back(boolean("log.tensorboard", GRANULE_AT(log.tensorboard), Trait::layout));
  keys.push_back(boolean("log.profile", GRANULE_AT(log.profile), Trait::layout));
}

#undef GRANULE_AT

[[noreturn]] void unknown_key(const ConfigEntry& entry) {
  user_error(fmt::format("unknown key '{}'", entry.key), entry.where, advice_for_key(entry.key));
}

bool is_table(std::string_view name) {
  const auto names = [&](std::string_view key) { return key.substr(0, key.find('.')) == name; };
  const auto& keys = config_keys();
  const auto& pending = pending_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const ConfigKey& key) { return names(key.name); }) ||
         std::any_of(pending.begin(), pending.end(), [&](const PendingKey& key) { return names(key.key); });
}

}  // namespace

const std::vector<ConfigKey>& config_keys() {
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> all;
    add_model_keys(all);
    add_moe_keys(all);
    add_router_keys(all);
    add_balance_keys(all);
    add_data_and_optim_keys(all);
    add_schedule_keys(all);
    add_train_keys(all);
    add_parallel_keys(all);
    add_output_keys(all);
    return all;
  }();
  return keys;
}

void apply_entry(RunConfig& config, const ConfigEntry& entry) {
  if (entry.key == "sweep" || entry.key.starts_with("sweep.")) {
    user_error("the config describes a sweep of many runs", entry.where,
               "run it with granule sweep, or leave its [sweep] table out");
  }
  refuse_pending(entry.key, entry.value, entry.where);
  if (is_pending_only(entry.key)) return;
  for (const ConfigKey& key : config_keys()) {
    if (key.name == entry.key) return key.set(config, entry);
  }
  if (!is_table(entry.key)) unknown_key(entry);
  if (!entry.value.is_object()) wrong_type(entry, fmt::format("a table, [{}]", entry.key));
}

}  // namespace granule
