#include "data/bpe/merges.hpp"

#include <algorithm>
#include <queue>
#include <tuple>
#include <utility>

#include "core/error.hpp"

namespace granule {
namespace {

std::uint64_t key_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

// A token of the word that is being built, linked to its neighbours.
struct Symbol {
  std::int32_t id = 0;
  std::int64_t previous = -1;
  std::int64_t next = -1;
  bool swallowed = false;  // it was merged into the one before it
};

// A merge of the symbol at `place` with the next one, as it was when it was found.
struct Candidate {
  std::int32_t rank = 0;
  std::int64_t place = 0;
  std::int32_t merged = 0;
  bool operator>(const Candidate& other) const {
    return std::tie(rank, place) > std::tie(other.rank, other.place);
  }
};

}  // namespace

void Merges::add(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t merged) {
  merges_.insert_or_assign(key_of(left, right), Merge{rank, merged});
}

std::vector<Merges::Pair> Merges::in_order() const {
  std::vector<std::pair<std::int32_t, Pair>> ranked;
  ranked.reserve(merges_.size());
  for (const auto& [key, merge] : merges_)
    ranked.push_back({merge.rank, {static_cast<std::int32_t>(key >> 32), static_cast<std::int32_t>(key)}});
  std::ranges::sort(ranked, {}, [](const auto& one) { return one.first; });
  std::vector<Pair> pairs;
  pairs.reserve(ranked.size());
  for (const auto& one : ranked) pairs.push_back(one.second);
  return pairs;
}

void Merges::apply(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& tokens) const {
  std::vector<Symbol> word;
  word.reserve(symbols.size());
  for (const std::int32_t id : symbols)
    word.push_back({id, std::ssize(word) - 1, std::ssize(word) + 1, false});
  if (!word.empty()) word.back().next = -1;
  const auto at = [&](std::int64_t place) -> Symbol& { return word[static_cast<std::size_t>(place)]; };
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> candidates;
  const auto find = [&](std::int64_t place) {
    if (place < 0 || at(place).next < 0) return merges_.end();
    return merges_.find(key_of(at(place).id, at(at(place).next).id));
  };
  const auto offer = [&](std::int64_t place) {
    const auto merge = find(place);
    if (merge != merges_.end()) candidates.push({merge->second.rank, place, merge->second.merged});
  };
  for (std::int64_t place = 0; place < std::ssize(word); ++place) offer(place);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    // One of the two may have been merged with another one since then.
    if (at(best.place).swallowed) continue;
    const auto merge = find(best.place);
    if (merge == merges_.end() || merge->second.merged != best.merged) continue;
    Symbol& left = at(best.place);
    Symbol& right = at(left.next);
    left.id = best.merged;
    right.swallowed = true;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = best.place;
    offer(left.previous);
    offer(best.place);
  }
  for (std::int64_t place = word.empty() ? -1 : 0; place >= 0; place = at(place).next)
    tokens.push_back(at(place).id);
}

}  // namespace granule
