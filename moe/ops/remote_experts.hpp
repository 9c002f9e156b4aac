// The routed experts of a layer if they are sharded over ranks and a rank may not receive all rows at once.
// Rows travel to the experts and their outputs travel back, round by round, as one operator. With a single
// round the layer uses the operators of moe/ops/row_exchange.hpp, and computes something else meanwhile.
// moe/experts/exchange_plan.hpp decides which rows travel when, and moe/ops/expert_ffn.hpp computes what an
// expert does to a row.
#pragma once
#include "distributed/communicators/communicator.hpp"
#include "moe/experts/exchange_plan.hpp"
#include "moe/experts/row_order.hpp"
#include "moe/ops/expert_ffn.hpp"

namespace granule {

/// y_r = FFN_e(x_r) for this rank's R rows, sorted by global expert e, on whichever rank e is. dx, dw13 and
/// dw2 are as in ExpertFfn, and each dw is the sum over the rows of all ranks. Forward and backward are
/// collectives of the group, and ranks without a row take part. L local experts, D model, F expert width:
/// x_RD, y_RD, w13_LGD with G = 2F, w2_LDF. The plan is a plain argument. W is the number of rows of a round,
/// at most the plan's limit. In elements:
///   saved for backward    at once in forward    at once in backward
///   R D, x_RD alone       W (2D + 2F)           W (3D + 5F)
/// Rows that are packed to be sent, or have come back, need up to R D more at a time. Backward sends x_RD
/// again and recomputes round by round.
struct RemoteExperts {
  Communicator* ranks;

  static constexpr std::string_view kName = "remote_experts";
  struct Saved {
    ExchangePlan plan;
    Tensor x_RD;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_LGD, const Tensor& w2_LDF,
                               const ExchangePlan& plan) const;
  void backward(const Saved& saved, const Tensor& w13_LGD, const Tensor& w2_LDF, const Tensor& dy_RD,
                const Grad& dx_RD, const Grad& dw13_LGD, const Grad& dw2_LDF) const;
};

/// count_SE of a plan: the rows of every rank for every expert. It is a collective.
[[nodiscard]] std::vector<std::int64_t> gather_counts(Communicator& ranks, const RowOrder& order);

}  // namespace granule
