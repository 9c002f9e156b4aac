#include "moe/model/moe_layer.hpp"

#include <utility>

#include "autograd/functions.hpp"
#include "moe/functions.hpp"

namespace granule {
namespace {

/// The local experts of a layer, in two blocks. For users, each expert still has three matrices, which are
/// parts of the blocks.
struct ExpertBlocks {
  BlockSpec w13, w2;
};
ExpertBlocks expert_blocks(const std::string& prefix, std::int64_t first, std::int64_t experts,
                           std::int64_t hidden, std::int64_t width) {
  ExpertBlocks blocks{{{experts, 2 * width, hidden}, {}, ParameterRole::matrix, ParameterGroup::expert},
                      {{experts, hidden, width}, {}, ParameterRole::matrix, ParameterGroup::expert}};
  for (std::int64_t e = first; e < first + experts; ++e) {
    const std::string name = fmt::format("{}.experts.{}", prefix, e);
    blocks.w13.parts.push_back({name + ".gate_proj.weight", {width, hidden}});
    blocks.w13.parts.push_back({name + ".up_proj.weight", {width, hidden}});
    blocks.w2.parts.push_back({name + ".down_proj.weight", {hidden, width}});
  }
  return blocks;
}

}  // namespace

MoeLayer::MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                   const ModelConfig& model, const MoeConfig& moe, const ExpertPlacement& placement,
                   Routing routing)
    : experts_(moe.n_routed_experts),
      placement_(placement),
      router_(make_router(store, prefix, layer, model, moe, routing)) {
  const ExpertBlocks blocks = expert_blocks(prefix, placement.first(experts_), placement.local(experts_),
                                            model.hidden_size, moe.moe_intermediate_size);
  experts_w13_ = store.declare(blocks.w13);
  experts_w2_ = store.declare(blocks.w2);
  if (moe.n_shared_experts > 0) {
    shared_.emplace(store, prefix + ".shared_experts", model.hidden_size,
                    moe.n_shared_experts * moe.moe_intermediate_size);
  }
}

/// The shared experts in one pass. Each half is computed when somebody asks for it, and both are there at the
/// end.
class MoeLayer::SharedInPass {
 public:
  /// There may be no network.
  SharedInPass(const FeedForward* network, const Var& x_ND) : network_(network), x_ND_(x_ND) {}
  void widen() {
    if (network_ != nullptr && !h_NF_) h_NF_ = network_->widen(x_ND_);
  }
  void narrow() {
    widen();
    if (network_ != nullptr && !y_ND_) y_ND_ = network_->narrow(*h_NF_);
    h_NF_ = Var{};  // only backward still needs its value
  }
  [[nodiscard]] const std::optional<Var>& output() {
    narrow();
    return y_ND_;
  }

 private:
  const FeedForward* network_;
  Var x_ND_;
  std::optional<Var> h_NF_, y_ND_;
};

Var MoeLayer::run_experts(const Pass& pass, Var sent_RD, const RowOrder& order, SharedInPass& shared) const {
  if (!placement_.shared_out()) {
    const auto offset = order.offset_E1.get();
    return expert_ffn(sent_RD, experts_w13_, experts_w2_, {offset.begin(), offset.end()});
  }
  Communicator& ranks = *placement_.ranks;
  const ExchangePlan plan = once_per_pass(pass, [&] {
    return ExchangePlan(gather_counts(ranks, order), ranks.size(), ranks.rank(), placement_.receive_limit);
  });
  if (plan.rounds() > 1) return remote_experts(ranks, sent_RD, experts_w13_, experts_w2_, plan);
  return run_remote_experts(plan, std::move(sent_RD), shared);
}

/// Something is computed between each departure and its arrival. Backward goes the same way in reverse, so it
/// also computes something while rows travel.
Var MoeLayer::run_remote_experts(const ExchangePlan& plan, Var sent_RD, SharedInPass& shared) const {
  const auto exchange = std::make_shared<RowExchange>(*placement_.ranks, plan, 0);
  Var rows = depart_rows(exchange, Leg::to_experts, sent_RD);
  sent_RD = {};
  shared.widen();
  rows = arrive_rows(exchange, Leg::to_experts, rows);
  rows = expert_ffn(rows, experts_w13_, experts_w2_, exchange->round().offset_L1);
  rows = depart_rows(exchange, Leg::to_senders, rows);
  shared.narrow();
  return arrive_rows(exchange, Leg::to_senders, rows);
}

Var MoeLayer::operator()(const Pass& pass, const Var& x_ND) const {
  const Routes routes = router_(pass, x_ND);
  const bool left_out = routing_of(pass).ablation.shared == SharedExperts::left_out;
  SharedInPass shared(shared_ && !left_out ? &*shared_ : nullptr, x_ND);
  Var outputs = run_experts(pass, dispatch(x_ND, routes.order), routes.order, shared);
  const Var y = combine(outputs, routes.weight_NK, routes.order);
  outputs = {};
  const std::optional<Var>& of_shared = shared.output();
  return of_shared ? add(y, *of_shared) : y;
}

}  // namespace granule
