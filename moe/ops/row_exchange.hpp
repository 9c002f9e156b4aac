// Rows on their way between the ranks that shard a layer's experts. A departure starts the messages, and an
// arrival waits for them, so a rank can compute between the two. moe/experts/exchange_plan.hpp decides which
// rows travel.
#pragma once
#include <cstdint>
#include <memory>
#include <string_view>

#include "distributed/communicators/communicator.hpp"
#include "moe/experts/exchange_plan.hpp"

namespace granule {

enum class Leg : std::uint8_t { to_experts, to_senders };

/// The messages of one round. At any time, one leg of it is under way at most. R own rows, S of them sent in
/// this round, W received, D model.
class RowExchange {
 public:
  /// Round `index` of a plan of these ranks.
  RowExchange(Communicator& ranks, const ExchangePlan& plan, std::int64_t index);
  [[nodiscard]] const ExchangeRound& round() const { return round_; }

  /// Starts a leg, as a collective of the ranks. Returns what arrive() needs, which has no content yet. Rows
  /// that must be copied to be sent are given up before memory for the others is allocated.
  ///   to_experts: x_RD has own rows, sorted by global expert → [W, D]
  ///   to_senders: x_WD has rows sorted by local expert → [S, D]
  [[nodiscard]] Tensor depart(Leg leg, Tensor x, Phase phase);
  /// Ends the leg: `under_way` is what depart() has returned.
  ///   to_experts: the rows of all senders, sorted by local expert → [W, D]
  ///   to_senders: the own rows of this round, rank by rank → [S, D]. These are all own rows in their order if
  ///               the plan has one round.
  [[nodiscard]] Tensor arrive(Leg leg, const Tensor& under_way);

 private:
  Communicator& ranks_;
  ExchangeRound round_;
  Pending pending_;
};

/// Rows set off: y has the shape in which they arrive and no content before ArriveRows. Backward is the end
/// of the way back. The plan has one round. Both operators of a leg share the exchange, and backward needs
/// them in the reversed order.
struct DepartRows {
  std::shared_ptr<RowExchange> exchange;
  Leg leg;

  static constexpr std::string_view kName = "depart_rows";
  [[nodiscard]] Tensor forward(const Tensor& x) const;
  [[nodiscard]] Tensor backward(const Tensor& dy) const;
};

/// Waits for what DepartRows has started. Backward sets gradients off on the way back.
struct ArriveRows {
  std::shared_ptr<RowExchange> exchange;
  Leg leg;

  static constexpr std::string_view kName = "arrive_rows";
  [[nodiscard]] Tensor forward(const Tensor& x) const;
  [[nodiscard]] Tensor backward(const Tensor& dy) const;
};

}  // namespace granule
