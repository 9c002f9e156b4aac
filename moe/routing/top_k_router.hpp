// The learned router: scores, the K best experts of each token, their weights, and the losses that balance
// the load.
#pragma once
#include "moe/routing/router.hpp"
#include "moe/routing/selection.hpp"

namespace granule {

/// s = softmax or sigmoid of x W_gᵀ. The experts are chosen by s + b within the groups of the rule, and
/// weighted by s alone. The bias b, if there is one, has no gradient. It is moved after each step
/// (moe/training/bias_balance.hpp). Scores and logits have the compute dtype, float32 or float64.
class TopKRouter {
 public:
  /// Declares {prefix}.gate.weight and, with a selection bias, the state
  /// {prefix}.gate.e_score_correction_bias.
  TopKRouter(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& model,
             const MoeConfig& moe, Routing routing = Routing::natural);
  [[nodiscard]] Routes operator()(const Pass& pass, const Var& x_ND) const;

 private:
  [[nodiscard]] Var score(const Var& logit_NE) const;
  [[nodiscard]] Choice choose(const Tensor& score_NE, const SelectionRule& rule) const;
  [[nodiscard]] Tensor bias() const { return bias_ != nullptr ? bias_->value : Tensor{}; }
  /// The rule without the experts that the pass masks.
  [[nodiscard]] SelectionRule rule_of(const Pass& pass) const;
  void add_losses(const Pass& pass, const Var& x_ND, const Var& logit_NE, const Tensor& score_NE,
                  const Tensor& id_NK) const;

  std::int64_t layer_;
  MoeConfig config_;
  Routing routing_;
  SelectionRule rule_;
  Param gate_;
  const State* bias_ = nullptr;
};

}  // namespace granule
