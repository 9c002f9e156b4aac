// The layers of a sketched pass. Each function is the sketch of the one named in its comment, statement by
// statement. A tensor lives as long as its variable.
#pragma once
#include "moe/sketch/model.hpp"
#include "moe/sketch/ops.hpp"

namespace granule::sketch {

/// What flows through a pass besides activations: nn/pass.hpp.
struct Pass {
  std::int64_t batch, seq;
  Tensor position, first_key;
  Recompute recompute = Recompute::none;
  struct Loss {
    double alpha;  ///< 0: there is no gradient
    Var value;
  };
  std::vector<Loss>* losses = nullptr;
  Kept* kept = nullptr;
  [[nodiscard]] std::int64_t rows() const { return batch * seq; }
};

/// The number of rows that a rank's tokens make for the experts of an MoE layer.
struct ExpertRows {
  std::int64_t own = 0;
  const ExchangePlan* exchange = nullptr;  ///< if the experts are on several ranks
};

class Layers {
 public:
  Layers(Sketch& sketch, const ModelConfig& model, const MoeConfig& moe, const ExpertRows& rows)
      : sketch_(sketch), model_(model), moe_(moe), rows_(rows) {}

  /// LanguageModel::loss_sum
  [[nodiscard]] Var loss_sum(const Pass& pass) const;

 private:
  using Part = std::function<Var(const Pass&, const Var& x)>;
  struct Routes {
    Routing order;
    Var weights;
  };

  [[nodiscard]] Var blocks(const Pass& pass, Var x) const;                            // LanguageModel
  [[nodiscard]] Var block(const Pass& pass, std::int64_t layer, const Var& x) const;  // Block
  [[nodiscard]] Var attend(const Pass& pass, const Var& x) const;                     // Block
  [[nodiscard]] Var feed(const Pass& pass, std::int64_t layer, const Var& u) const;   // Block
  [[nodiscard]] Var run_recomputed(const Part& part, const Pass& pass, const Var& x) const;
  [[nodiscard]] Var self_attention(const Pass& pass, const Var& x) const;                     // SelfAttention
  [[nodiscard]] Var feed_forward(std::int64_t rows, std::int64_t width, const Var& x) const;  // FeedForward
  [[nodiscard]] Var mixture(const Pass& pass, const Var& x) const;                            // MoeLayer
  [[nodiscard]] Var routed(const Var& x, const Routes& routes) const;                         // MoeLayer
  [[nodiscard]] Var computed(const Var& sent, const Routing& routing) const;                  // MoeLayer
  [[nodiscard]] Routes top_k_router(const Pass& pass, const Var& x) const;                    // TopKRouter
  [[nodiscard]] Routes hash_router(const Pass& pass) const;                                   // HashRouter
  [[nodiscard]] Routing carry_out(std::int64_t N, const Tensor& ids) const;  // routing/router
  void leave_losses(const Pass& pass, const Var& x, const Var& logits, const Tensor& ids) const;

  Sketch& sketch_;
  const ModelConfig& model_;
  const MoeConfig& moe_;
  const ExpertRows& rows_;
};

}  // namespace granule::sketch
