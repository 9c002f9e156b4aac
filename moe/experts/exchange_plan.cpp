#include "moe/experts/exchange_plan.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace granule {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

std::int64_t ExchangeRound::sent() const {
  return std::accumulate(send_rows.begin(), send_rows.end(), std::int64_t{0});
}

ExchangePlan::ExchangePlan(std::vector<std::int64_t> count_SE, int ranks, int rank,
                           std::int64_t receive_limit)
    : count_SE_(std::move(count_SE)),
      experts_(std::ssize(count_SE_) / ranks),
      ranks_(ranks),
      rank_(rank),
      limit_(receive_limit),
      rounds_(1) {
  GRANULE_CHECK(experts_ % ranks_ == 0 && std::ssize(count_SE_) == experts_ * ranks_,
                "exchange plan: {} counts, {} experts on {} ranks", count_SE_.size(), experts_, ranks_);
  GRANULE_CHECK(limit_ >= 0, "exchange plan: a limit of {} rows", limit_);
  if (limit_ == 0) {
    limit_ = std::numeric_limits<std::int64_t>::max();
    return;
  }
  for (std::int64_t receiver = 0; receiver < ranks_; ++receiver) {
    std::int64_t rows = 0;
    for (std::int64_t e = receiver * local_experts(); e < (receiver + 1) * local_experts(); ++e) {
      for (std::int64_t source = 0; source < ranks_; ++source) rows += count(source, e);
    }
    rounds_ = std::max(rounds_, (rows + limit_ - 1) / limit_);
  }
}

std::int64_t ExchangePlan::count(std::int64_t source, std::int64_t expert) const {
  return count_SE_[at(source * experts_ + expert)];
}

std::int64_t ExchangePlan::rows() const {
  std::int64_t rows = 0;
  for (std::int64_t e = 0; e < experts_; ++e) rows += count(rank_, e);
  return rows;
}

std::vector<ExchangePlan::Delivery> ExchangePlan::deliveries(std::int64_t receiver,
                                                             std::int64_t round) const {
  std::vector<Delivery> deliveries;
  const std::int64_t first = round * limit_, last = first + limit_;  // without a limit there is only round 0
  std::int64_t begin = 0;                                            // among all rows of the receiver
  for (std::int64_t expert = 0; expert < local_experts(); ++expert) {
    for (std::int64_t source = 0; source < ranks(); ++source) {
      const std::int64_t end = begin + count(source, receiver * local_experts() + expert);
      const std::int64_t from = std::max(begin, first), to = std::min(end, last);
      if (from < to) deliveries.push_back({source, expert, from - begin, from - first, to - from});
      begin = end;
    }
  }
  return deliveries;
}

void ExchangePlan::add_sent(ExchangeRound& round, std::int64_t index) const {
  std::vector<std::int64_t> offset{0};  // of this rank's own rows, by global expert
  for (std::int64_t e = 0; e < experts_; ++e) offset.push_back(offset.back() + count(rank_, e));
  std::int64_t sent = 0;
  for (std::int64_t receiver = 0; receiver < ranks(); ++receiver) {
    for (const Delivery& d : deliveries(receiver, index)) {
      if (d.source != rank_) continue;
      const std::int64_t from = offset[at(receiver * local_experts() + d.expert)] + d.skipped;
      const bool adjoins =
          !round.packed.empty() && round.packed.back().from + round.packed.back().rows == from;
      if (adjoins) {
        round.packed.back().rows += d.rows;
      } else {
        round.packed.push_back({from, sent, d.rows});
      }
      round.send_rows[at(receiver)] += d.rows;
      sent += d.rows;
    }
  }
}

void ExchangePlan::add_received(ExchangeRound& round, std::int64_t index) const {
  const std::vector<Delivery> mine = deliveries(rank_, index);
  for (const Delivery& d : mine) {
    round.receive_rows[at(d.source)] += d.rows;
    round.offset_L1[at(d.expert) + 1] += d.rows;
  }
  std::partial_sum(round.offset_L1.begin(), round.offset_L1.end(), round.offset_L1.begin());
  std::vector<std::int64_t> next(at(ranks()));  // position of each source's next row among the received ones
  std::exclusive_scan(round.receive_rows.begin(), round.receive_rows.end(), next.begin(), std::int64_t{0});
  for (const Delivery& d : mine) {
    round.placed.push_back({next[at(d.source)], d.position, d.rows});
    next[at(d.source)] += d.rows;
  }
}

ExchangeRound ExchangePlan::round(std::int64_t index) const {
  GRANULE_CHECK(index >= 0 && index < rounds_, "exchange plan: round {} of {}", index, rounds_);
  ExchangeRound round;
  round.send_rows.resize(at(ranks()));
  round.receive_rows.resize(at(ranks()));
  round.offset_L1.resize(at(local_experts()) + 1);
  add_sent(round, index);
  add_received(round, index);
  return round;
}

}  // namespace granule
