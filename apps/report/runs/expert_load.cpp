#include "apps/report/runs/expert_load.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/records/run_directory.hpp"
#include "core/error.hpp"
#include "data/files/files.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::int64_t kLeastBins = 4;

struct Header {
  RouterLayout layout;
  std::int64_t bytes = 0;
};

[[noreturn]] void refuse(const fs::path& file) {
  user_error("the header is damaged", file.string(), "the load of the experts cannot be shown");
}

Header read_header(const PieceReader& reader, const fs::path& file) try {
  std::string text(RouterLayout::kHeaderBytes, ' ');
  reader.read(0, std::as_writable_bytes(std::span(text)));
  const json head = json::parse(text);
  Header header;
  header.layout.layers = head.at("layers").get<std::vector<std::int64_t>>();
  header.layout.experts = head.at("experts").get<std::int64_t>();
  header.layout.first_step = head.value("first_step", std::int64_t{1});
  header.bytes = head.at("header_bytes").get<std::int64_t>();
  const bool known = head.at("format") == "granule-router/1" && head.at("dtype") == "int32";
  const bool sizes = header.layout.experts > 0 && header.layout.experts < (1 << 20) &&
                     !header.layout.layers.empty() && header.bytes >= 0 && header.layout.first_step >= 1;
  if (!known || !sizes) refuse(file);
  return header;
} catch (const json::exception&) {
  refuse(file);
}

std::int64_t bins_of(std::int64_t records, std::int64_t numbers_in_record, LoadBudget budget) {
  std::int64_t bins = budget.most_bins;
  if (budget.numbers > 0)
    bins = std::clamp(budget.numbers / numbers_in_record, kLeastBins, std::max(bins, kLeastBins));
  return std::min(bins, records);
}

/// Adds up the records [begin, end), each of as many counts as `sums` has.
void add_records(const PieceReader& reader, std::int64_t header, std::int64_t begin, std::int64_t end,
                 std::vector<std::int64_t>& sums) {
  constexpr std::int64_t kPiece = 1 << 20;
  const auto record = static_cast<std::int64_t>(sums.size() * sizeof(std::int32_t));
  const std::int64_t at_once = std::max<std::int64_t>(kPiece / record, 1);
  std::vector<std::int32_t> counts;
  for (std::int64_t first = begin; first < end; first += at_once) {
    const std::int64_t many = std::min(at_once, end - first);
    counts.resize(static_cast<std::size_t>(many) * sums.size());
    reader.read(header + first * record, std::as_writable_bytes(std::span(counts)));
    for (std::size_t from = 0; from < counts.size(); from += sums.size()) {
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += counts[from + i];
    }
  }
}

void put_shares(ExpertLoad& load, std::size_t bin, std::span<const std::int64_t> sums) {
  const auto experts = static_cast<std::size_t>(load.experts);
  for (std::size_t layer = 0; layer < load.layers.size(); ++layer) {
    const auto counts = sums.subspan(layer * experts, experts);
    double total = 0.0;
    for (const std::int64_t count : counts) total += static_cast<double>(count);
    const double mean = total / static_cast<double>(experts);
    for (std::size_t expert = 0; expert < experts; ++expert) {
      load.share[(layer * load.steps.size() + bin) * experts + expert] =
          mean > 0.0 ? static_cast<double>(counts[expert]) / mean : std::numeric_limits<double>::quiet_NaN();
    }
  }
}

}  // namespace

ExpertLoad read_expert_load(const fs::path& file, LoadBudget budget) {
  std::error_code absent;
  if (!fs::exists(file, absent)) return {};
  const PieceReader reader(file);
  if (reader.size() <= static_cast<std::int64_t>(RouterLayout::kHeaderBytes)) return {};
  const Header header = read_header(reader, file);
  const auto numbers = static_cast<std::int64_t>(header.layout.layers.size()) * header.layout.experts;
  const std::int64_t records = (reader.size() - header.bytes) / (numbers * 4);
  ExpertLoad load{.layers = header.layout.layers, .experts = header.layout.experts};
  const std::int64_t bins = bins_of(records, numbers, budget);
  if (bins <= 0) return {};
  load.steps.resize(static_cast<std::size_t>(bins));
  load.share.resize(static_cast<std::size_t>(bins * numbers));
  for (std::int64_t bin = 0; bin < bins; ++bin) {
    const std::int64_t begin = records * bin / bins, end = records * (bin + 1) / bins;
    std::vector<std::int64_t> sums(static_cast<std::size_t>(numbers), 0);
    add_records(reader, header.bytes, begin, end, sums);
    load.steps[static_cast<std::size_t>(bin)] = header.layout.first_step + end - 1;
    put_shares(load, static_cast<std::size_t>(bin), sums);
  }
  return load;
}

}  // namespace granule
