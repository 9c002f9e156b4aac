// The sketch of moe/ops/remote_experts: rows travel to the experts of other ranks, and back.
#include <algorithm>

#include "moe/sketch/ops.hpp"

namespace granule::sketch {
namespace {

constexpr std::int64_t kExpertRows = 256;  // as in ExpertFfn
constexpr std::int64_t kMostRounds = 256;

/// One round: a sender's `sent` rows leave, and `received` rows arrive.
struct Round {
  std::int64_t own, sent, received;
  ExpertSize size;

  /// Exchange::to_experts
  [[nodiscard]] Tensor to_experts(Sketch& sketch) const {
    Tensor packed = sent == own ? nullptr : sketch.scratch(sent * size.D);
    const Tensor arrived = sketch.scratch(received * size.D);
    packed.reset();
    return sketch.reals(received * size.D);
  }
  /// Exchange::to_senders
  void to_senders(Sketch& sketch, Tensor placed) const {
    const Tensor replies = sketch.scratch(received * size.D);
    placed.reset();
    const Tensor arrived = sent == own ? nullptr : sketch.scratch(sent * size.D);
  }
  /// The piece of an expert's rows that each thread computes.
  [[nodiscard]] std::int64_t piece(const Sketch& sketch) const {
    return sketch.part(sketch.threads() * kExpertRows * size.F);
  }
  /// ExpertFfn::forward: what it saves, and its output.
  struct Computed {
    std::vector<Tensor> saved;
    Tensor y;
  };
  [[nodiscard]] Computed compute(Sketch& sketch) const {
    const Tensor x = to_experts(sketch);
    const Tensor y = sketch.reals(received * size.D), h = sketch.reals(received * 2 * size.F);
    sketch.use_workspace(piece(sketch));
    return {{x, h}, y};
  }
};

/// Each round of the plan. If a tiny limit makes very many, two that no round exceeds replace them.
std::vector<Round> rounds_of(const ExchangePlan& plan, const ExpertSize& size) {
  if (plan.rounds() > kMostRounds) {
    const std::int64_t most_sent = std::min(plan.rows(), plan.limit() * plan.ranks());
    return {2, Round{plan.rows(), most_sent, plan.limit(), size}};
  }
  std::vector<Round> rounds;
  for (std::int64_t i = 0; i < plan.rounds(); ++i) {
    const ExchangeRound round = plan.round(i);
    rounds.push_back({plan.rows(), round.sent(), round.received(), size});
  }
  return rounds;
}

enum class Saves : bool { rows, own };

void backward(Sketch& sketch, const std::vector<Round>& rounds, Saves saves) {
  for (const Round& round : rounds) {
    std::vector<Tensor> received;
    if (saves == Saves::own) received = round.compute(sketch).saved;
    const Tensor dy = round.to_experts(sketch);
    Tensor dx = sketch.reals(round.received * round.size.D);
    sketch.use_workspace(round.piece(sketch) + sketch.part(round.received * round.size.F) +
                         sketch.part(round.received * 2 * round.size.F));
    received.clear();
    round.to_senders(sketch, std::move(dx));
  }
}

}  // namespace

Var remote_experts(Sketch& sketch, const Var& x, const ExchangePlan& plan, const ExpertSize& size) {
  const std::vector<Round> rounds = rounds_of(plan, size);
  const Saves saves = rounds.size() == 1 ? Saves::rows : Saves::own;
  Tensor y = sketch.reals(plan.rows() * size.D);
  Held held;
  for (const Round& round : rounds) {
    Round::Computed computed = round.compute(sketch);
    if (saves == Saves::rows && sketch.recording())
      held.saved.insert(held.saved.end(), computed.saved.begin(), computed.saved.end());
    computed.saved.clear();
    round.to_senders(sketch, std::move(computed.y));
  }
  if (saves == Saves::own) held.saved.push_back(x.value);
  held.backward = [rounds, saves](Sketch& again) { backward(again, rounds, saves); };
  return sketch.record(Sketch::Takes::parameter, {x}, std::move(y), std::move(held));
}

}  // namespace granule::sketch
