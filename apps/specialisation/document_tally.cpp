#include "apps/specialisation/document_tally.hpp"

#include <algorithm>
#include <utility>

namespace granule {
namespace {

bool larger_share(const DocumentCount& a, const DocumentCount& b) {
  return a.count * b.tokens > b.count * a.tokens;
}

}  // namespace

DocumentTally::DocumentTally(std::size_t layers, std::int64_t experts)
    : experts_(experts), count_LE_(layers * static_cast<std::size_t>(experts)), best_LE_(count_LE_.size()) {}

void DocumentTally::enter(std::int64_t document, std::int64_t tokens) {
  if (document != document_) {
    finish();
    document_ = document;
    ++documents_;
  }
  tokens_ += tokens;
}

void DocumentTally::add(std::size_t layer, std::span<const std::int32_t> ids) {
  const auto count_E = std::span(count_LE_).subspan(layer * static_cast<std::size_t>(experts_));
  for (const std::int32_t id : ids) ++count_E[static_cast<std::size_t>(id)];
}

void DocumentTally::finish() {
  for (std::size_t i = 0; i < best_LE_.size(); ++i) {
    const DocumentCount here{document_, tokens_, std::exchange(count_LE_[i], 0)};
    if (here.count < kLeastOfDocument) continue;
    std::vector<DocumentCount>& best = best_LE_[i];
    best.insert(std::ranges::upper_bound(best, here, larger_share), here);
    if (best.size() > kDocumentsOfExpert) best.pop_back();
  }
  tokens_ = 0;
}

}  // namespace granule
