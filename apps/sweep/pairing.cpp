#include "apps/sweep/pairing.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/jobs/start_digests.hpp"
#include "apps/sweep/cell_state.hpp"
#include "core/error.hpp"
#include "data/files/files.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// The config of the data, but for the seed. The data may have moved since a cell ran. If the sweep lists
/// paths, cells of different paths need not agree.
json data_key(const Cell& cell) {
  json data = to_json(cell.config).at("data");
  const bool swept =
      std::ranges::any_of(cell.values, [](const auto& value) { return value.first == "data.path"; });
  if (!swept) data.erase("path");
  data.erase("seed");
  return data;
}

std::string batches_key(const Cell& cell, const json& steps) {
  return json{data_key(cell), cell.config.data.seed, cell.config.train.batch_size, steps}.dump();
}

std::string values_key(const Cell& cell) {
  const RunConfig& config = cell.config;
  return json{config.train.seed, name_of(config.train.dtype), config.model.initializer_range}.dump();
}

json digests_of(const std::filesystem::path& run) {
  const std::filesystem::path file = start_digests_of(run);
  std::error_code failure;
  if (!std::filesystem::exists(file, failure)) return {};
  const json digests = json::parse(read_file(file), nullptr, false);
  const bool whole = digests.is_object() && digests.contains("steps") && digests.contains("data") &&
                     digests.contains("batches") && digests.contains("values");
  return whole ? digests : json();
}

/// The first cell that had something, and the digest of what it had.
struct First {
  const Cell* cell;
  json digest;
};
using Firsts = std::map<std::string, First>;

/// The first cell with another digest of the same thing, or null.
const Cell* other_of(Firsts& firsts, const std::string& key, const Cell& cell, const json& digest) {
  const auto [place, is_new] = firsts.try_emplace(key, First{&cell, digest});
  return is_new || place->second.digest == digest ? nullptr : place->second.cell;
}

}  // namespace

std::vector<Unpaired> find_unpaired(const std::filesystem::path& sweep, const std::vector<Cell>& cells) {
  std::vector<Unpaired> all;
  Firsts data, batches, values;
  for (const Cell& cell : cells) {
    const json digests = digests_of(run_of(sweep, cell));
    if (digests.is_null()) {
      if (status_on_disk(sweep, cell).complete())
        all.push_back({&cell, "it has no digests.json, so nothing shows what it began with"});
      continue;
    }
    if (const Cell* other =
            other_of(batches, batches_key(cell, digests["steps"]), cell, digests["batches"])) {
      all.push_back({&cell, fmt::format("it did not read the batches of {}: the data or this program have "
                                        "changed in between",
                                        other->name)});
      continue;
    }
    for (const auto& [name, tensor] : digests["values"].items()) {
      const std::string key = values_key(cell) + name + tensor["shape"].dump();
      const Cell* const other = other_of(values, key, cell, tensor["xxh3"]);
      if (other == nullptr) continue;
      all.push_back({&cell, fmt::format("{} did not start from the values of {}", name, other->name)});
      break;
    }
  }
  return all;
}

}  // namespace granule
