// Compares docs/config.md with the program's own list of keys.
#include <fstream>
#include <map>
#include <set>

#include "apps/config/run_config_keys.hpp"
#include "apps/config/run_config_pending.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"

using granule::test::source_dir;

namespace {

struct Row {
  std::string type;
  std::string fallback;
  std::string meaning;
};

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  for (std::size_t at = 1; at < line.size();) {
    const auto end = line.find('|', at);
    cells.push_back(trimmed(line.substr(at, end - at)));
    at = end + 1;
  }
  return cells;
}

// Maps "table.key" to its row. Sections are headed ## `[table]`, and have rows of this form:
//   | `key` | type | default | range | … |
std::map<std::string, Row> documented_keys() {
  std::map<std::string, Row> rows;
  std::ifstream page(source_dir() + "/docs/config.md");
  REQUIRE(page);
  std::string table;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) table = line.starts_with("## `[") ? line.substr(5, line.find(']') - 5) : "";
    if (table.empty() || !line.starts_with("| `")) continue;
    const auto cells = cells_of(line);
    if (cells.size() != 5) continue;  // the table of formulas
    rows[table + "." + cells[0].substr(1, cells[0].size() - 2)] = {cells[1], cells[2], cells[4]};
  }
  return rows;
}

}  // namespace

TEST_CASE("config_docs: every key the program knows stands in docs/config.md, and no other") {
  std::set<std::string> known;
  for (const auto& key : granule::config_keys()) known.emplace(key.name);
  for (const auto& key : granule::pending_keys()) known.emplace(key.key);
  std::set<std::string> documented;
  for (const auto& [name, row] : documented_keys()) documented.insert(name);
  CHECK(documented == known);
}

TEST_CASE("config_docs: the defaults in docs/config.md are those of the program") {
  const granule::RunConfig defaults;
  const auto rows = documented_keys();
  int compared = 0;
  for (const auto& key : granule::config_keys()) {
    const std::string text = rows.at(std::string(key.name)).fallback;
    if (text.size() < 2 || text.front() != '`' || text.back() != '`') continue;
    const std::string value = text.substr(1, text.size() - 2);
    if (rows.contains("model." + value)) continue;  // the value of another key
    INFO(key.name);
    CHECK(granule::parse_override("x.y=" + value).value == key.get(defaults));
    ++compared;
  }
  CHECK(compared > 30);
}

TEST_CASE("config_docs: docs/config.md marks what is not built and what may change on resume") {
  const auto rows = documented_keys();
  for (const auto& key : granule::pending_keys()) {
    INFO(key.key);
    const Row& row = rows.at(std::string(key.key));
    CHECK((row.meaning.find("*not built yet*") != std::string::npos) == (key.missing == nullptr));
    if (key.rule == granule::PendingKey::Rule::only && !key.value.is_null()) {
      CHECK(row.fallback == fmt::format("`{}`", key.value.dump()));
    }
  }
  for (const auto& key : granule::config_keys()) {
    INFO(key.name);
    const bool marked = rows.at(std::string(key.name)).type.ends_with("↻");
    using Trait = granule::ConfigKey::Trait;
    CHECK(marked == (key.trait == Trait::layout || key.trait == Trait::agreed));
  }
}
