// The routed experts of a layer where they are shared out over ranks: rows travel to the experts and their
// outputs back, one operator. Which rows travel when is moe/routing/exchange_plan.hpp's; what an expert does
// to a row is moe/ops/expert_ffn.hpp's.
#pragma once
#include "distributed/communicators/communicator.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "moe/routing/exchange_plan.hpp"
#include "moe/routing/routing.hpp"

namespace granule {

/// y_r = FFN_e(x_r) of this rank's R rows, sorted by global expert e, wherever e is:   dx, dw13, dw2 as of
/// ExpertFfn, each dw the sum over the rows of all ranks. A collective of the group, in forward and in
/// backward: ranks without a row take part. L local experts, D model, F expert width: x_RD, y_RD,
/// w13_LGD with G = 2F, w2_LDF. The plan is a plain argument.
///   One round: what was received is saved, W (D + 2F) elements for W rows.
///   Several: only x_RD is, and backward sends it again and recomputes round by round. For W rows of a round,
/// at most the plan's limit, forward holds W (2D + 2F) elements at once and backward W (3D + 5F), besides
/// what is packed to be sent, no more than R D at a time.
struct RemoteExperts {
  Communicator* ranks;

  static constexpr std::string_view kName = "remote_experts";
  struct Saved {
    ExchangePlan plan;
    ExpertFfn::Saved received;  // one round
    Tensor x_RD;                // several
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_LGD, const Tensor& w2_LDF,
                               const ExchangePlan& plan) const;
  void backward(const Saved& saved, const Tensor& w13_LGD, const Tensor& w2_LDF, const Tensor& dy_RD,
                const Grad& dx_RD, const Grad& dw13_LGD, const Grad& dw2_LDF) const;
};

/// count_SE of a plan: every rank's rows for every expert, int64. A collective.
[[nodiscard]] Tensor gather_counts(Communicator& ranks, const Routing& routing);

}  // namespace granule
