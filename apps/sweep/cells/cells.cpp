#include "apps/sweep/cells/cells.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/sweep/cells/cell_name.hpp"
#include "apps/sweep/cells/segmentation.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// Which value of every axis each variant has.
std::vector<std::vector<std::size_t>> choices_of(const SweepTable& table) {
  std::vector<std::vector<std::size_t>> choices{{}};
  if (table.mode == SweepTable::Mode::zip) {
    choices.clear();
    for (std::size_t i = 0; i < table.axes.front().values.size(); ++i)
      choices.emplace_back(table.axes.size(), i);
    return choices;
  }
  for (const SweepAxis& axis : table.axes) {
    std::vector<std::vector<std::size_t>> longer;
    for (const auto& choice : choices) {
      for (std::size_t i = 0; i < axis.values.size(); ++i) {
        longer.push_back(choice);
        longer.back().push_back(i);
      }
    }
    choices = std::move(longer);
  }
  return choices;
}

class CellMaker {
 public:
  CellMaker(const SweepTable& table, std::int64_t ranks, const FactsOf& facts)
      : table_(table), options_{.ranks = ranks}, facts_(facts) {
    if (table.solve == Budget::none) return;
    const RunConfig base = load(table.base);
    target_ = amount_of(table.solve, base, steps_of(base));
  }

  [[nodiscard]] double target() const { return target_; }

  Cell make(const std::vector<std::size_t>& choice, std::size_t index) {
    Cell cell{.entries = table_.base};
    const ConfigEntry* segmentation = nullptr;
    for (std::size_t i = 0; i < choice.size(); ++i) {
      const SweepAxis& axis = table_.axes[i];
      const ConfigEntry& value = axis.values[choice[i]];
      cell.values.emplace_back(axis.key, value.value);
      if (axis.key == kSegmentation) {
        segmentation = &value;
      } else {
        cell.entries.push_back(value);
      }
    }
    if (!table_.names.empty()) cell.label = table_.names[index];
    cell.variant = unused(cell.label.empty() ? variant_name(cell.values) : plain_name(cell.label));
    if (segmentation != nullptr)
      for (ConfigEntry& entry : segmented(load(cell.entries), *segmentation))
        cell.entries.push_back(std::move(entry));
    if (table_.solve != Budget::none) solve(cell);
    return cell;
  }

  /// The cell of a variant with this seed, or with the config's own.
  Cell with_seed(Cell cell, std::optional<std::int64_t> seed) {
    cell.name = cell.variant;
    if (seed) {
      cell.seed = seed;
      if (!cell.name.empty()) cell.name += ',';
      cell.name += fmt::format("seed-{}", *seed);
      for (const char* const key : {"train.seed", "data.seed"})
        cell.entries.push_back({key, *seed, table_.source, {}, {}});
    }
    cell.config = load(cell.entries);
    cell.steps = steps_of(cell.config);
    return cell;
  }

 private:
  [[nodiscard]] RunConfig load(const std::vector<ConfigEntry>& entries) const {
    RunConfig config = run_config_of(entries, table_.source, options_);
    if (config.model.vocab_size == 0) config.model.vocab_size = facts_(config).vocab_size;
    if (config.model.vocab_size == 0)
      user_error("the vocabulary size is not known without data", "model.vocab_size",
                 "set it, or name the data with data.path");
    return config;
  }

  [[nodiscard]] std::int64_t steps_of(const RunConfig& config) const {
    return resolve_steps(config, facts_(config).samples).total;
  }

  /// Different values may have the same text in a name.
  std::string unused(std::string name) {
    std::string free = name;
    for (int i = 2; !names_.insert(free).second; ++i) free = fmt::format("{}_{}", name, i);
    return free;
  }

  using WithWidth = std::function<std::vector<ConfigEntry>(std::int64_t)>;

  /// The config with its own width, or with the first possible one: other keys may rule the own one out.
  [[nodiscard]] RunConfig load_with_any_width(const Cell& cell, const WithWidth& with) const {
    constexpr std::int64_t kTried = 4096;
    std::optional<Error> own;
    try {
      return load(cell.entries);
    } catch (const Error& error) {
      own = error;
    }
    for (std::int64_t width = 1; width <= kTried; ++width) {
      try {
        return load(with(width));
      } catch (const Error&) {
        continue;
      }
    }
    throw Error(*own);
  }

  void solve(Cell& cell) const {
    const auto with = [&](std::int64_t width) {
      std::vector<ConfigEntry> entries = cell.entries;
      entries.push_back({table_.solve_key, width, table_.source, {}, {}});
      return entries;
    };
    const auto possible = [&](std::int64_t width) {
      try {
        static_cast<void>(load(with(width)));
        return true;
      } catch (const Error&) {
        return false;
      }
    };
    const RunConfig config = load_with_any_width(cell, with);
    const std::string where = fmt::format("{}, {}", table_.source, cell.variant);
    const WidthQuestion question{table_.solve, target_, table_.solve_key, steps_of(config)};
    cell.solution = solve_width(question, config, possible, where);
    if (std::abs(cell.solution->residual) > kClosest)
      user_error(fmt::format("the nearest {} to the config's {} of {:.6g} is {}, and differs by {:+.2f} %",
                             table_.solve_key, name_of(table_.solve), target_, cell.solution->width,
                             100.0 * cell.solution->residual),
                 where, "choose another solve_key, or a larger model");
    cell.entries = with(cell.solution->width);
  }

  const SweepTable& table_;
  ConfigOptions options_;
  const FactsOf& facts_;
  double target_ = 0.0;
  std::set<std::string> names_;
};

void refuse_repeated_values(const SweepTable& table) {
  if (table.mode == SweepTable::Mode::zip) return;
  for (const SweepAxis& axis : table.axes) {
    for (const ConfigEntry& value : axis.values) {
      if (std::ranges::count(axis.values, value.value, &ConfigEntry::value) > 1)
        user_error(fmt::format("{} lists {} twice", axis.key, value.value.dump()), value.where,
                   "list each value once; seeds repeat a run");
    }
  }
}

}  // namespace

Cells cells_of(const SweepTable& table, std::int64_t ranks, const FactsOf& facts) {
  refuse_repeated_values(table);
  CellMaker maker(table, ranks, facts);
  std::vector<Cell> variants;
  for (const auto& choice : choices_of(table)) variants.push_back(maker.make(choice, variants.size()));
  std::vector<std::optional<std::int64_t>> seeds(table.seeds.begin(), table.seeds.end());
  if (seeds.empty()) seeds.emplace_back();
  Cells cells{.target = maker.target()};
  for (const auto& seed : seeds)
    for (const Cell& variant : variants) cells.all.push_back(maker.with_seed(variant, seed));
  return cells;
}

}  // namespace granule
