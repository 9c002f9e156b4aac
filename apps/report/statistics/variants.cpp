#include "apps/report/statistics/variants.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "apps/sweep/cells/cell_name.hpp"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kTrainSeed = "train.seed";
constexpr const char* kDataSeed = "data.seed";
// Two keys of a report that are no config keys.
constexpr const char* kData = "data.path";  // shown if the data differ, and not only their places
constexpr const char* kStart = "start";

bool is_seed(const std::string& key) {
  return key == kTrainSeed || key == kDataSeed;
}

/// Keys that change how a run computes, and not what.
bool changes_no_result(const RunReading& run, const std::string& key) {
  constexpr std::array kAlone{"train.threads", "train.recompute", "eval.every"};
  if (key == "train.micro_batch_size") return !run.facts.micro_batches_matter;
  return std::ranges::find(kAlone, key) != kAlone.end() || key.starts_with("parallel.") ||
         key.starts_with("checkpoint.") || key.starts_with("log.");
}

/// A text that two runs share if they are one variant.
std::string identity_of(const RunReading& run) {
  if (run.found.cell) return fmt::format("sweep {} {}", run.found.cell->directory, run.found.cell->variant);
  if (run.facts.config.empty()) return fmt::format("run {}", run.found.name);
  Json kept = Json::array({run.facts.data, run.facts.start});
  for (const auto& [key, value] : run.facts.config.items()) {
    if (!is_seed(key) && !changes_no_result(run, key)) kept.push_back(Json::array({key, value}));
  }
  return kept.dump();
}

/// Values that are not known differ from nothing.
template <class Value>
bool differs(std::span<const RunReading> runs, Value value) {
  std::set<std::string> seen;
  for (const RunReading& run : runs) {
    const Json known = value(run);
    if (!known.is_null()) seen.insert(known.dump());
  }
  return seen.size() > 1;
}

bool data_differ(std::span<const RunReading> runs) {
  return differs(
      runs, [](const RunReading& run) { return run.facts.data.empty() ? Json() : Json(run.facts.data); });
}

/// Every key that some run knows, in the order of the config, after those of the sweeps.
std::vector<std::string> all_keys(std::span<const RunReading> runs, std::span<const std::string> first) {
  std::vector<std::string> keys(first.begin(), first.end());
  std::set<std::string> known(first.begin(), first.end());
  for (const RunReading& run : runs) {
    for (const auto& [key, value] : run.facts.config.items()) {
      if (known.insert(key).second) keys.push_back(key);
    }
  }
  return keys;
}

std::vector<std::string> keys_that_differ(std::span<const RunReading> runs,
                                          std::span<const std::string> sweep_keys) {
  std::vector<std::string> keys = all_keys(runs, sweep_keys);
  std::erase_if(keys, [&](const std::string& key) {
    return !differs(runs, [&](const RunReading& run) { return shown_value(run, key); });
  });
  if (data_differ(runs)) keys.emplace_back(kData);
  if (differs(runs, [](const RunReading& run) { return Json(run.facts.start); })) keys.emplace_back(kStart);
  return keys;
}

std::optional<std::int64_t> seed_in(const RunReading& run, const char* key) {
  const Json seed = shown_value(run, key);
  if (seed.is_number_integer()) return seed.get<std::int64_t>();
  return run.found.cell ? run.found.cell->seed : std::nullopt;
}

/// One number stands for both seeds if they are equal, or if only one of them differs between the runs.
void put_seeds(Grouping& grouping, std::span<const RunReading> runs) {
  const auto has = [&](const char* key) {
    return std::ranges::find(grouping.keys, key) != grouping.keys.end();
  };
  const bool tied = std::ranges::all_of(
      runs, [](const RunReading& run) { return seed_in(run, kTrainSeed) == seed_in(run, kDataSeed); });
  const bool both = !tied && has(kTrainSeed) && has(kDataSeed);
  const char* const shown = !tied && has(kDataSeed) && !both ? kDataSeed : kTrainSeed;
  for (const RunReading& run : runs) {
    const auto train = seed_in(run, kTrainSeed), data = seed_in(run, kDataSeed);
    grouping.seeds.push_back(run.found.cell && run.found.cell->seed ? run.found.cell->seed
                                                                    : seed_in(run, shown));
    grouping.pairs.push_back(train && data ? fmt::format("{} {}", *train, *data) : run.found.name);
  }
  if (!both) std::erase_if(grouping.keys, is_seed);
}

/// As sweeps name their variants.
std::string name_of(const Json& values) {
  std::vector<std::pair<std::string, nlohmann::json>> all;
  for (const auto& [key, value] : values.items()) all.emplace_back(key, value);
  return variant_name(all);
}

void put_values(Variant& variant, const RunReading& run, const std::vector<std::string>& keys) {
  if (run.found.cell && !run.found.cell->values.empty()) {
    variant.values = run.found.cell->values;
    return;
  }
  for (const std::string& key : keys) {
    if (!is_seed(key) && !changes_no_result(run, key)) variant.values[key] = shown_value(run, key);
  }
}

void put_names(Variant& variant, std::span<const RunReading> runs) {
  const RunReading& first = runs[variant.runs.front()];
  if (first.found.cell) {
    const SweepCell& cell = *first.found.cell;
    variant.name = cell.variant;
    variant.label = cell.label.empty() ? cell.variant : cell.label;
    return;
  }
  variant.name = name_of(variant.values);
  if (variant.runs.size() == 1) variant.label = first.found.name;
  if (variant.name.empty()) variant.name = variant.runs.size() == 1 ? first.found.name : "all runs";
  if (variant.label.empty()) variant.label = variant.name;
}

/// Labels of two sweeps may be the same. Then the names of the sweeps tell them apart, or else a number does.
void label_apart(std::vector<Variant>& variants, std::span<const RunReading> runs) {
  std::map<std::string, int> count;
  for (const Variant& variant : variants) ++count[variant.label];
  std::map<std::string, int> used;
  for (Variant& variant : variants) {
    const auto& cell = runs[variant.runs.front()].found.cell;
    if (count[variant.label] > 1 && cell) variant.label = fmt::format("{}: {}", cell->sweep, variant.label);
    const int number = ++used[variant.label];
    if (number > 1) variant.label += fmt::format(" ({})", number);
  }
}

}  // namespace

Json shown_value(const RunReading& run, const std::string& key) {
  if (key == kData) return run.facts.data_path.empty() ? Json() : Json(run.facts.data_path);
  if (key == kStart) return run.facts.start_text.empty() ? Json("initialised") : Json(run.facts.start_text);
  const auto found = run.facts.config.find(key);
  return found != run.facts.config.end() ? *found : Json();
}

Grouping group_runs(std::span<const RunReading> runs, std::span<const std::string> sweep_keys) {
  Grouping grouping{.keys = keys_that_differ(runs, sweep_keys)};
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto [place, is_new] = known.try_emplace(identity_of(runs[i]), grouping.variants.size());
    if (is_new) grouping.variants.emplace_back();
    grouping.variants[place->second].runs.push_back(i);
    grouping.variant_of.push_back(place->second);
  }
  for (Variant& variant : grouping.variants) {
    put_values(variant, runs[variant.runs.front()], grouping.keys);
    put_names(variant, runs);
  }
  label_apart(grouping.variants, runs);
  put_seeds(grouping, runs);
  return grouping;
}

}  // namespace granule
