// The plan of an exchange, carried out on labels instead of rows. Every row must arrive once, at the right
// place.
#include "moe/experts/exchange_plan.hpp"

#include <algorithm>
#include <numeric>

#include "core/random.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

namespace {

using Counts = std::vector<std::vector<std::int64_t>>;  // [source][expert]

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Identifies a row by its origin.
struct Label {
  std::int64_t expert, source, index;
  friend auto operator<=>(const Label&, const Label&) = default;  // NOLINT(modernize-use-nullptr): its own 0
};

ExchangePlan plan_of(const Counts& counts, int rank, std::int64_t limit) {
  std::vector<std::int64_t> all;
  for (const auto& row : counts) all.insert(all.end(), row.begin(), row.end());
  return {all, static_cast<int>(counts.size()), rank, limit};
}

std::vector<Label> rows_of(const Counts& counts, std::int64_t source) {
  std::vector<Label> rows;
  for (std::int64_t e = 0; e < std::ssize(counts[0]); ++e) {
    for (std::int64_t i = 0; i < counts[at(source)][at(e)]; ++i) rows.push_back({e, source, i});
  }
  return rows;
}

/// What the ranks' plans do with the rows in one round.
struct Delivered {
  std::vector<ExchangeRound> rounds;        // for each rank
  std::vector<std::vector<Label>> placed;   // for each receiver
  std::vector<std::vector<Label>> replies;  // for each source, from `placed` on the same way back
};

std::vector<Label> moved(const std::vector<Label>& from, const std::vector<RowRun>& runs, std::size_t size) {
  std::vector<Label> to(size, Label{-1, -1, -1});
  for (const RowRun& run : runs) {
    for (std::int64_t i = 0; i < run.rows; ++i) to[at(run.to + i)] = from[at(run.from + i)];
  }
  return to;
}

/// The rows to and from each rank, as an all-to-all moves them.
std::vector<std::vector<Label>> all_to_all(const std::vector<std::vector<Label>>& sent,
                                           const std::vector<std::vector<std::int64_t>>& rows) {
  std::vector<std::vector<Label>> received(sent.size());
  for (std::size_t s = 0; s < sent.size(); ++s) {
    std::int64_t next = 0;
    for (std::size_t q = 0; q < sent.size(); ++q) {
      for (std::int64_t i = 0; i < rows[s][q]; ++i) received[q].push_back(sent[s][at(next++)]);
    }
    REQUIRE(next == std::ssize(sent[s]));
  }
  return received;
}

Delivered deliver(const std::vector<ExchangePlan>& plans, const Counts& counts, std::int64_t index) {
  Delivered out;
  std::vector<std::vector<Label>> packed, placed_back;
  std::vector<std::vector<std::int64_t>> send, receive;
  for (std::size_t s = 0; s < plans.size(); ++s) {
    out.rounds.push_back(plans[s].round(index));
    const ExchangeRound& round = out.rounds.back();
    send.push_back(round.send_rows);
    receive.push_back(round.receive_rows);
    packed.push_back(moved(rows_of(counts, std::int64_t(s)), round.packed, at(round.sent())));
  }
  const auto received = all_to_all(packed, send);
  for (std::size_t q = 0; q < plans.size(); ++q) {
    REQUIRE(std::ssize(received[q]) == out.rounds[q].received());
    out.placed.push_back(moved(received[q], out.rounds[q].placed, received[q].size()));
    placed_back.push_back(moved(out.placed[q], reversed(out.rounds[q].placed), received[q].size()));
  }
  const auto returned = all_to_all(placed_back, receive);
  for (std::size_t s = 0; s < plans.size(); ++s) out.replies.push_back(returned[s]);
  return out;
}

/// Checks every place in a plan, and returns the number of rounds.
std::int64_t check_plan(const Counts& counts, std::int64_t limit) {
  const std::int64_t ranks = std::ssize(counts), local = std::ssize(counts[0]) / ranks;
  std::vector<ExchangePlan> plans;
  for (std::int64_t r = 0; r < ranks; ++r) plans.push_back(plan_of(counts, static_cast<int>(r), limit));
  std::vector<std::vector<Label>> arrived(at(ranks)), replied(at(ranks));
  for (std::int64_t i = 0; i < plans[0].rounds(); ++i) {
    const Delivered out = deliver(plans, counts, i);
    for (std::int64_t r = 0; r < ranks; ++r) {
      const ExchangeRound& round = out.rounds[at(r)];
      CHECK(plans[at(r)].rounds() == plans[0].rounds());
      if (limit > 0) CHECK(round.received() <= limit);
      for (std::int64_t l = 0; l < local; ++l) {
        for (std::int64_t p = round.offset_L1[at(l)]; p < round.offset_L1[at(l) + 1]; ++p)
          CHECK(out.placed[at(r)][at(p)].expert == r * local + l);
      }
      const auto& placed = out.placed[at(r)];
      arrived[at(r)].insert(arrived[at(r)].end(), placed.begin(), placed.end());
      const auto own = rows_of(counts, r);
      const auto unpacked = moved(out.replies[at(r)], reversed(round.packed), own.size());
      for (std::size_t row = 0; row < own.size(); ++row) {
        if (unpacked[row].source < 0) continue;
        CHECK(unpacked[row] == own[row]);  // a reply arrives at the row that was sent
        replied[at(r)].push_back(own[row]);
      }
    }
  }
  for (std::int64_t r = 0; r < ranks; ++r) {
    std::vector<Label> expected;  // in the order that the plan promises: (expert, source, row)
    for (std::int64_t s = 0; s < ranks; ++s) {
      for (const Label& label : rows_of(counts, s)) {
        if (label.expert / local == r) expected.push_back(label);
      }
    }
    std::sort(expected.begin(), expected.end());
    CHECK(arrived[at(r)] == expected);
    std::sort(replied[at(r)].begin(), replied[at(r)].end());
    CHECK(replied[at(r)] == rows_of(counts, r));
    CHECK(plans[at(r)].rows() == std::ssize(rows_of(counts, r)));
  }
  return plans[0].rounds();
}

/// Up to `most` rows of each source for each expert. Some sources have none.
Counts random_counts(std::int64_t ranks, std::int64_t experts, std::int64_t most, std::uint64_t seed) {
  const RandomStream random(seed, "counts");
  Counts counts(at(ranks), std::vector<std::int64_t>(at(experts)));
  std::uint64_t next = 0;
  for (auto& row : counts) {
    const bool idle = random.below(5, next++) == 0;
    for (auto& count : row) {
      const std::uint64_t drawn = random.below(static_cast<std::uint64_t>(2 * most), next++);
      count = idle || drawn >= static_cast<std::uint64_t>(most) ? 0 : static_cast<std::int64_t>(drawn) + 1;
    }
  }
  return counts;
}

}  // namespace

TEST_CASE(
    "exchange_plan: a plan delivers every row once, to its expert, within the limit, and brings it back") {
  std::uint64_t seed = 0;
  for (const std::int64_t ranks : {1, 2, 3, 4}) {
    for (const std::int64_t local : {1, 2, 3}) {
      for (const std::int64_t limit : {0, 1, 2, 3, 7, 1000}) {
        for (int repeat = 0; repeat < 3; ++repeat) {
          CAPTURE(ranks, local, limit, seed);
          check_plan(random_counts(ranks, ranks * local, 5, seed++), limit);
        }
      }
    }
  }
}

TEST_CASE(
    "exchange_plan: a plan has as many rounds as its busiest rank needs, and one where nothing travels") {
  const Counts one_hot{{0, 0, 0, 5}, {0, 0, 0, 6}};
  CHECK(check_plan(one_hot, 0) == 1);
  CHECK(check_plan(one_hot, 11) == 1);
  CHECK(check_plan(one_hot, 10) == 2);
  CHECK(check_plan(one_hot, 4) == 3);
  CHECK(check_plan(one_hot, 1) == 11);
  CHECK(check_plan({{0, 0}, {0, 0}}, 1) == 1);
  CHECK(check_plan({{2, 2}, {2, 2}}, 4) == 1);
}

TEST_CASE("exchange_plan: what a source gives to a rank in one round is one run of its rows") {
  const Counts counts{{3, 0, 2, 4}, {1, 5, 0, 2}};
  for (const int rank : {0, 1}) {
    const ExchangePlan plan = plan_of(counts, rank, 3);
    REQUIRE(plan.rounds() == 3);
    for (std::int64_t index = 0; index < plan.rounds(); ++index) {
      const ExchangeRound round = plan.round(index);
      std::int64_t destinations = 0;
      for (const std::int64_t rows : round.send_rows) destinations += rows > 0 ? 1 : 0;
      CHECK(std::ssize(round.packed) <= destinations);
    }
  }
}

TEST_CASE(
    "exchange_plan: a plan refuses experts that ranks cannot shard evenly, a negative limit and a missing "
    "round") {
  CHECK_THROWS_AS(plan_of({{1, 1, 1}, {1, 1, 1}}, 0, 0), Error);
  CHECK_THROWS_AS(plan_of({{1, 1}, {1, 1}}, 0, -1), Error);
  const ExchangePlan plan = plan_of({{1, 1}, {1, 1}}, 0, 1);
  CHECK(plan.rounds() == 2);
  CHECK_THROWS_AS(plan.round(2), Error);
}
