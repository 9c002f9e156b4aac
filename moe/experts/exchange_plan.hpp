// Which rows travel between the ranks that shard a layer's experts, and in how many rounds. The plan is a
// pure function of how many rows each rank has for each expert. moe/ops/remote_experts.hpp moves the rows.
#pragma once
#include <vector>

#include "moe/experts/copy_runs.hpp"

namespace granule {

/// One all-to-all of a rank, and its reverse.
struct ExchangeRound {
  std::vector<std::int64_t> send_rows, receive_rows;  ///< to and from each rank
  /// From the rank's own rows to what it sends, rank by rank.
  std::vector<RowRun> packed;
  /// From what it receives, source by source, to rows sorted by local expert.
  std::vector<RowRun> placed;
  /// Local expert l owns placed rows [offset[l], offset[l + 1]). Rows of lower ranks come first.
  std::vector<std::int64_t> offset_L1;

  [[nodiscard]] std::int64_t sent() const;
  [[nodiscard]] std::int64_t received() const { return offset_L1.back(); }
};

/// The E experts are cut into n equal parts, and rank q, counted from 0, holds part q. The rows that it
/// receives are ordered by (expert, source rank, row of the source). Round i delivers positions
/// [i · limit, (i + 1) · limit) of them. So no rank ever holds more than `limit` received rows. A source
/// sends one run of its own rows to a rank in a round. Every rank computes the same number of rounds. Without
/// a limit (0) there is one round.
class ExchangePlan {
 public:
  ExchangePlan() = default;
  /// count_SE has the rows of each of the S ranks for each of all E experts, rank by rank.
  ExchangePlan(std::vector<std::int64_t> count_SE, int ranks, int rank, std::int64_t receive_limit);

  [[nodiscard]] std::int64_t rounds() const { return rounds_; }
  /// The receive limit of a round, or the largest number if there is none.
  [[nodiscard]] std::int64_t limit() const { return limit_; }
  [[nodiscard]] ExchangeRound round(std::int64_t index) const;
  [[nodiscard]] std::int64_t rows() const;  ///< this rank's own rows, which it sends over all rounds
  [[nodiscard]] std::int64_t ranks() const { return ranks_; }
  [[nodiscard]] std::int64_t local_experts() const { return experts_ / ranks_; }

 private:
  /// A run of one source's rows for one local expert of a rank.
  struct Delivery {
    std::int64_t source, expert;  // local to the receiver
    std::int64_t skipped;         // rows of this source and expert in earlier rounds
    std::int64_t position;        // in the round
    std::int64_t rows;
  };
  [[nodiscard]] std::int64_t count(std::int64_t source, std::int64_t expert) const;
  [[nodiscard]] std::vector<Delivery> deliveries(std::int64_t receiver, std::int64_t round) const;
  void add_sent(ExchangeRound& round, std::int64_t index) const;
  void add_received(ExchangeRound& round, std::int64_t index) const;

  std::vector<std::int64_t> count_SE_;
  std::int64_t experts_ = 0, ranks_ = 0, rank_ = 0, limit_ = 0, rounds_ = 0;
};

}  // namespace granule
