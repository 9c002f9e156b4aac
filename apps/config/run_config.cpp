#include "apps/config/run_config.hpp"

#include <algorithm>

#include "apps/config/run_config_check.hpp"
#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"
#include "core/parallel.hpp"
#include "distributed/communicators/device_carrier.hpp"

namespace granule {
namespace {

using nlohmann::json;
using Trait = ConfigKey::Trait;

// The entries of a config, and where each key was last written.
struct Layers {
  std::vector<ConfigEntry> entries;
  // The place that errors name if no entry sets a key.
  std::string source;
  // It gives the rest of the model.
  const ConfigBase* base = nullptr;

  [[nodiscard]] const ConfigEntry* find(std::string_view key) const {
    const auto found =
        std::find_if(entries.rbegin(), entries.rend(), [&](const auto& e) { return e.key == key; });
    return found == entries.rend() ? nullptr : &*found;
  }
  [[nodiscard]] std::string place_of(std::string_view key) const {
    const ConfigEntry* entry = find(key);
    if (entry != nullptr) return entry->where;
    const bool of_model = key.starts_with("model.") || key.starts_with("moe.");
    return base != nullptr && of_model ? base->name : source;
  }
};

void add_overrides(Layers& layers, std::span<const std::string> overrides) {
  for (ConfigEntry& entry : parse_overrides(overrides)) layers.entries.push_back(std::move(entry));
}

void fill_in_decay_points(RunConfig& config, const Layers& layers) {
  RunConfig::Schedule& schedule = config.schedule;
  const bool steps_down = schedule.kind == ScheduleKind::warmup_step_decay;
  if (!schedule.decay_at.empty() || (!steps_down && schedule.kind != ScheduleKind::wsd)) return;
  if (const ConfigEntry* entry = layers.find("schedule.decay_at")) {
    user_error("schedule.decay_at is empty", entry->where,
               "name the points, or use schedule.kind = \"constant\"");
  }
  schedule.decay_at = {{Period::Unit::fraction, 0.8}};
  if (steps_down) schedule.decay_at.push_back({Period::Unit::fraction, 0.9});
}

// A hash router uses the run's seed unless it has its own, and its choices cannot be balanced.
void fill_in_hash_router(RunConfig& config) {
  if (config.moe.router != RouterKind::hash) return;
  if (config.moe.hash_seed < 0) config.moe.hash_seed = config.train.seed;
  if (config.moe.aux_loss_alpha == MoeConfig{}.aux_loss_alpha) config.moe.aux_loss_alpha = 0.0;
}

/// Whether a later entry has the same key.
bool is_replaced(const Layers& layers, const ConfigEntry& entry) {
  return layers.find(entry.key) != &entry;
}

bool describes_model(const RunConfig& config) try {
  check_model(config.model, config.moe, [](std::string_view) { return std::string(); });
  return true;
} catch (const Error&) {
  return false;
}

/// A base fixes the shapes if it describes a model, also with the help of values that change no shape. A base
/// that describes no model has no shapes to keep. Its weights will tell.
bool has_shapes(const ConfigBase& base, const Layers& layers) {
  RunConfig config = base.config;
  for (const ConfigKey& key : config_keys()) {
    const ConfigEntry* const entry = layers.find(key.name);
    if (entry != nullptr && key.trait != Trait::shape) key.set(config, *entry);
  }
  return describes_model(config);
}

/// If a model has no layers of a kind, the keys of that kind do not describe its parameters.
bool describes_parameters(const ConfigKey& key, const RunConfig& config) {
  if (key.table() == "moe") return config.moe.count_moe_layers(config.model.num_hidden_layers) > 0;
  return key.leaf() != "intermediate_size" ||
         config.moe.count_moe_layers(config.model.num_hidden_layers) < config.model.num_hidden_layers;
}

void check_shapes_kept(const RunConfig& config, const ConfigBase& base, const Layers& layers) {
  if (!has_shapes(base, layers)) return;
  const auto faulty = [&](const ConfigKey& key) {
    return std::any_of(base.faults.begin(), base.faults.end(),
                       [&](const ConfigFault& fault) { return fault.key == key.name; });
  };
  for (const ConfigKey& key : config_keys()) {
    const bool fixed = describes_parameters(key, config) || describes_parameters(key, base.config);
    if (key.trait != Trait::shape || !fixed || faulty(key)) continue;
    const json was = key.get(base.config);
    const json is = key.get(config);
    if (was == is) continue;
    user_error(fmt::format("{} = {} would change the shape of a model that has {} ({})", key.name, is.dump(),
                           was.dump(), base.name),
               layers.place_of(key.name), "leave the key out, or train from scratch");
  }
}

void refuse_faults_left(const ConfigBase& base, const Layers& layers) {
  for (const ConfigFault& fault : base.faults) {
    if (layers.find(fault.key) == nullptr) throw Error(fault.error);
  }
}

RunConfig assemble(const Layers& layers, const ConfigOptions& options) {
  RunConfig config = options.base ? options.base->config : RunConfig{};
  for (const ConfigEntry& entry : layers.entries) {
    if (!is_replaced(layers, entry)) apply_entry(config, entry);
  }
  if (options.base) refuse_faults_left(*options.base, layers);
  config.model.num_key_value_heads = config.model.kv_heads();
  if (config.data.seq_len == 0) config.data.seq_len = config.model.max_position_embeddings;
  fill_in_hash_router(config);
  fill_in_decay_points(config, layers);
  if (options.base) check_shapes_kept(config, *options.base, layers);
  check_run_config(config, options.ranks, [&](std::string_view key) { return layers.place_of(key); });
  return config;
}

}  // namespace

RunConfig load_run_config(const std::filesystem::path& file, std::span<const std::string> overrides,
                          const ConfigOptions& options) {
  Layers layers{read_config_file(file), file.string(), options.base ? &*options.base : nullptr};
  add_overrides(layers, overrides);
  return assemble(layers, options);
}

RunConfig override_run_config(std::span<const std::string> overrides, const ConfigOptions& options) {
  Layers layers{{}, options.base ? options.base->name : std::string("command line"), nullptr};
  add_overrides(layers, overrides);
  return assemble(layers, options);
}

RunConfig run_config_of(std::vector<ConfigEntry> entries, const std::string& source,
                        const ConfigOptions& options) {
  return assemble({std::move(entries), source, options.base ? &*options.base : nullptr}, options);
}

RunConfig run_config_from_json(const json& document, std::string_view where) {
  Layers layers{{}, std::string(where), nullptr};
  if (!document.is_object()) user_error("the config is no JSON object", where, "restore the file");
  for (const auto& [table, keys] : document.items()) {
    if (!keys.is_object())
      user_error(fmt::format("the config's {} is no table", table), where, "restore the file");
    for (const auto& [name, value] : keys.items()) {
      layers.entries.push_back({fmt::format("{}.{}", table, name), value, std::string(where), {}, {}});
    }
  }
  return assemble(layers, {});
}

void require_model(const ConfigBase& base) {
  if (!base.faults.empty()) throw Error(base.faults.front().error);
  check_model(base.config.model, base.config.moe, [&](std::string_view) { return base.name; });
}

std::vector<DataMix::Part> RunConfig::Data::sources() const {
  if (!mix.empty() || path.empty()) return mix;
  return {{path}};
}

int thread_count(const RunConfig& config, std::int64_t sharers) {
  if (config.train.threads > 0) return static_cast<int>(config.train.threads);
  return std::max(1, available_cores() / static_cast<int>(sharers));
}

ContextOptions context_options(const RunConfig& config, int threads, int number) {
  return {.threads = threads, .device = {config.train.device, number}};
}

CarrierOptions carrier_options(const RunConfig& config) {
  CarrierOptions options{.deterministic = config.parallel.deterministic};
  if (config.parallel.watchdog_seconds > 0)
    options.seconds = static_cast<double>(config.parallel.watchdog_seconds);
  return options;
}

RunSteps resolve_steps(const RunConfig& config, std::int64_t samples_per_epoch) {
  RunLength run;
  run.batch_size = config.train.batch_size;
  run.tokens_per_step = config.train.batch_size * config.data.seq_len;
  run.samples_per_epoch = samples_per_epoch;
  RunSteps steps;
  steps.total = run.total_steps = steps_in(config.train.steps, run, "train.steps");
  steps.schedule = {config.schedule.kind,
                    steps_in(config.schedule.warmup, run, "schedule.warmup"),
                    {},
                    config.schedule.decay_by,
                    config.schedule.min_lr,
                    steps.total};
  for (const Period& point : config.schedule.decay_at) {
    steps.schedule.decay_at.push_back(steps_in(point, run, "schedule.decay_at"));
  }
  if (!std::is_sorted(steps.schedule.decay_at.begin(), steps.schedule.decay_at.end())) {
    user_error("the points of schedule.decay_at do not ascend", "schedule.decay_at",
               "sort them, in one unit");
  }
  steps.checkpoint_every = steps_in(config.checkpoint.every, run, "checkpoint.every");
  steps.eval_every = steps_in(config.eval.every, run, "eval.every");
  steps.log_every = steps_in(config.log.every, run, "log.every");
  return steps;
}

}  // namespace granule
