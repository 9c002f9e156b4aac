#include "apps/sweep/cells/sweep_table.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "apps/config/key_advice.hpp"
#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr std::string_view kTable = "sweep";
constexpr std::size_t kMostCells = 10'000;
constexpr std::array<std::pair<std::string_view, Budget>, 4> kBudgets{
    {{"none", Budget::none},
     {"activated_params", Budget::activated_params},
     {"total_params", Budget::total_params},
     {"flops", Budget::flops}}};
/// The widths that `solve` may choose.
constexpr std::array<std::string_view, 3> kWidths{"moe.moe_intermediate_size", "model.intermediate_size",
                                                  "model.hidden_size"};

std::vector<ConfigEntry> elements_of(const ConfigEntry& entry, std::string_view expected) {
  if (!entry.value.is_array() || entry.value.empty()) wrong_type(entry, expected);
  std::vector<ConfigEntry> all;
  for (const json& value : entry.value) all.push_back({entry.key, value, entry.where, {}, entry.base});
  return all;
}

void take_seeds(SweepTable& table, const ConfigEntry& entry) {
  table.seeds.clear();
  for (const ConfigEntry& one : elements_of(entry, "a list of seeds, such as [0, 1, 2]")) {
    table.seeds.push_back(integer_of(one, {0}));
    if (std::ranges::count(table.seeds, table.seeds.back()) > 1)
      out_of_range(entry, "a list without repeats");
  }
}

void take_names(SweepTable& table, const ConfigEntry& entry) {
  table.names.clear();
  for (const ConfigEntry& one : elements_of(entry, "a list of names, one for each value")) {
    table.names.push_back(text_of(one));
    const bool again = std::ranges::count(table.names, table.names.back()) > 1;
    if (again || table.names.back().empty())
      out_of_range(entry, "a list of different names, none of which is empty");
  }
}

void take_budget(SweepTable& table, const ConfigEntry& entry) {
  std::vector<std::string_view> words;
  for (const auto& [word, budget] : kBudgets) words.push_back(word);
  table.solve = kBudgets[choice_of(entry, words)].second;
}

/// For a bare name, which may be meant as a key of the table itself.
std::string advice_for_own_key(const std::string& name) {
  const std::vector<std::string_view> own{"mode", "seeds", "names", "solve", "solve_key"};
  const std::string_view near = near_word(name, own, name.size());
  if (!near.empty()) return fmt::format("did you mean '{}'?", near);
  const std::string advice = advice_for_name(name);
  return advice.empty() ? "list keys of a config, or use mode, seeds, names, solve and solve_key" : advice;
}

void take_axis(SweepTable& table, const std::string& key, const ConfigEntry& entry) {
  const auto known = [&](const ConfigKey& one) { return one.name == key; };
  if (key != kSegmentation && std::ranges::none_of(config_keys(), known))
    user_error(fmt::format("[sweep] lists values of an unknown key '{}'", key), entry.where,
               key.find('.') == std::string::npos ? advice_for_own_key(key) : advice_for_key(key));
  SweepAxis axis{.key = key, .values = elements_of(entry, "a list of values")};
  for (ConfigEntry& value : axis.values) value.key = key;
  const auto there = std::ranges::find(table.axes, key, &SweepAxis::key);
  if (there == table.axes.end()) {
    table.axes.push_back(std::move(axis));
  } else if (entry.written.empty()) {  // `moe.x` and `"moe.x"` in one file
    user_error(fmt::format("[sweep] lists {} twice", key), entry.where, "list each key once");
  } else {
    *there = std::move(axis);  // in its place, because the order of keys is in the names of cells
  }
}

/// Takes an entry of the table [sweep].
void take(SweepTable& table, const ConfigEntry& entry) {
  const std::string key = entry.key.size() > kTable.size() ? entry.key.substr(kTable.size() + 1) : "";
  if (key.empty()) user_error("[sweep] is empty", entry.where, "list values of a key in it, or seeds");
  if (key == "mode") {
    table.mode = choice_of(entry, {"grid", "zip"}) == 0 ? SweepTable::Mode::grid : SweepTable::Mode::zip;
  } else if (key == "seeds") {
    take_seeds(table, entry);
  } else if (key == "names") {
    take_names(table, entry);
  } else if (key == "solve") {
    take_budget(table, entry);
  } else if (key == "solve_key") {
    std::vector<std::string_view> widths(kWidths.begin(), kWidths.end());
    table.solve_key = widths[choice_of(entry, widths)];
  } else {
    take_axis(table, key, entry);
  }
}

void check_zip(const SweepTable& table) {
  const bool zip = table.mode == SweepTable::Mode::zip;
  if (!table.names.empty() && !zip)
    user_error("[sweep] names its runs, and its mode is grid", table.source,
               "set mode = \"zip\", or leave names out: a grid makes names of its values");
  if (!zip) return;
  if (table.axes.empty())
    user_error("[sweep] has nothing to zip", table.source, "list values of a key in it");
  const std::size_t count = table.axes.front().values.size();
  for (const SweepAxis& axis : table.axes) {
    if (axis.values.size() == count) continue;
    user_error(fmt::format("mode = \"zip\" takes lists of one length: {} has {} values and {} has {}",
                           table.axes.front().key, count, axis.key, axis.values.size()),
               axis.values.front().where, "give every key as many values");
  }
  if (!table.names.empty() && table.names.size() != count)
    user_error(fmt::format("[sweep] combines values {} times, and names has {}", count, table.names.size()),
               table.source, "give each a name, or leave names out");
}

void check_budget(const SweepTable& table) {
  const bool solves = table.solve != Budget::none;
  if (solves && table.solve_key.empty())
    user_error(fmt::format("sweep.solve = \"{}\" has no width to choose", name_of(table.solve)), table.source,
               fmt::format("set solve_key, for example \"{}\"", kWidths[0]));
  if (!solves && !table.solve_key.empty())
    user_error("sweep.solve_key is given without sweep.solve", table.source,
               "set solve too, for example \"activated_params\"");
}

/// A key has one value at a time: a swept one is not given otherwise.
void check_keys(const SweepTable& table) {
  for (const ConfigEntry& entry : table.base) {
    const bool is_seed = entry.key == "train.seed" || entry.key == "data.seed";
    if (is_seed && !entry.written.empty() && !table.seeds.empty())
      user_error(fmt::format("{} is given, and [sweep] has seeds", entry.key), entry.where,
                 "leave it out, or give sweep.seeds=[…]: seeds sets train.seed and data.seed together");
  }
  for (const SweepAxis& axis : table.axes) {
    const std::string& where = axis.values.front().where;
    if (axis.key == table.solve_key)
      user_error(fmt::format("{} is both listed and solve_key", axis.key), where, "leave one of them out");
    if (!table.seeds.empty() && (axis.key == "train.seed" || axis.key == "data.seed"))
      user_error(fmt::format("{} is listed beside seeds", axis.key), where,
                 "leave it out: seeds sets train.seed and data.seed together");
    for (const ConfigEntry& entry : table.base) {
      if (entry.key == axis.key && !entry.written.empty())  // an override
        user_error(fmt::format("{} is given, and [sweep] lists values of it", axis.key), entry.where,
                   fmt::format("leave it out, or give sweep.{}=[…]", axis.key));
    }
  }
}

void check_size(const SweepTable& table) {
  std::size_t cells = std::max<std::size_t>(table.seeds.size(), 1);
  if (table.mode == SweepTable::Mode::zip) {
    cells *= table.axes.front().values.size();
  } else {
    for (const SweepAxis& axis : table.axes) cells = std::min(cells * axis.values.size(), kMostCells + 1);
  }
  if (cells > kMostCells)
    user_error(fmt::format("the sweep has more than {} runs", kMostCells), table.source,
               "list fewer values, or make several sweeps");
  if (table.axes.empty() && table.seeds.empty())
    user_error(
        "the config has no [sweep] table", table.source,
        "list values of a key in it, such as \"moe.aux_loss_alpha\" = [0, 0.01], or seeds = [0, 1, 2]; "
        "for one run use granule train");
}

}  // namespace

std::string_view name_of(Budget budget) {
  return std::ranges::find(kBudgets, budget, &std::pair<std::string_view, Budget>::second)->first;
}

SweepTable read_sweep(const std::filesystem::path& file, std::span<const std::string> overrides) {
  SweepTable table{.source = file.string()};
  std::vector<ConfigEntry> entries = read_config_file(file, kTable);
  for (ConfigEntry& entry : parse_overrides(overrides)) entries.push_back(std::move(entry));
  for (ConfigEntry& entry : entries) {
    if (entry.key == kTable || entry.key.starts_with("sweep.")) {
      take(table, entry);
    } else {
      table.base.push_back(std::move(entry));
    }
  }
  check_zip(table);
  check_size(table);
  check_budget(table);
  check_keys(table);
  return table;
}

}  // namespace granule
