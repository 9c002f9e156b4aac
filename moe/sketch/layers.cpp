#include "moe/sketch/layers.hpp"

namespace granule::sketch {
namespace {

template <class Make>
auto decided_once(const Pass& pass, const Make& make) {
  return pass.kept != nullptr ? pass.kept->once(make) : make();
}

}  // namespace

Var Layers::self_attention(const Pass& pass, const Var& x) const {
  const std::int64_t heads = model_.num_attention_heads, N = pass.rows();
  const std::int64_t width = heads * model_.head_dim() + 2 * model_.kv_width();
  Var qkv = linear(sketch_, x, N, width);
  if (model_.attention_bias) qkv = bias_add(sketch_, qkv, N, width);
  const Var rotated = rope(sketch_, qkv, pass.position);
  const Var mixed = attention(sketch_, rotated, pass.first_key, {N, pass.seq, heads, model_.head_dim()});
  const Var y = linear(sketch_, mixed, N, model_.hidden_size);
  return model_.attention_bias ? bias_add(sketch_, y, N, model_.hidden_size) : y;
}

Var Layers::feed_forward(std::int64_t rows, std::int64_t width, const Var& x) const {
  const Var gate_up = linear(sketch_, x, rows, 2 * width);
  const Var activated = swiglu(sketch_, gate_up);
  return linear(sketch_, activated, rows, model_.hidden_size);
}

Routing Layers::carry_out(std::int64_t N, const Tensor& ids) const {
  const std::int64_t E = moe_.n_routed_experts, K = moe_.num_experts_per_tok;
  const Tensor sent = moe_.capacity_factor > 0.0 ? sketch_.bytes(ids->bytes()) : ids;
  if (moe_.capacity_factor > 0.0) limit_capacity(sketch_, N * K, E);
  Routing order = sort_by_expert(sketch_, N, K, rows_.own, E);
  const Tensor counts = sketch_.longs(E), dropped = sketch_.longs(E);  // of the note to the observer
  if (moe_.router == RouterKind::hash) return order;
  const Tensor entropy = sketch_.longs(1);
  score_entropy(sketch_, N);
  return order;
}

void Layers::leave_losses(const Pass& pass, const Var& x, const Var& logits, const Tensor& ids) const {
  const std::int64_t N = pass.rows(), E = moe_.n_routed_experts;
  const Tensor counts = decided_once(pass, [&] {
    const Tensor unbiased = moe_.has_selection_bias() ? sketch_.bytes(ids->bytes()) : ids;
    if (moe_.has_selection_bias()) select_experts(sketch_, E, moe_.n_group);
    return sketch_.longs(pass.batch * E);
  });
  const Var branch = balance_branch(sketch_, logits, x);
  const Var scored = scores(sketch_, branch);
  const Var p = moe_.scoring_func == ScoringFunction::sigmoid ? normalise_rows(sketch_, scored, N) : scored;
  const Tensor unit_counts = moe_.seq_aux ? counts : sketch_.longs(E);
  const Var balance = balance_loss(sketch_, p, moe_.seq_aux ? pass.batch : 1, E);
  pass.losses->push_back({moe_.aux_loss_alpha, balance});
  if (moe_.device_groups > 1) {
    const Var device = balance_loss(sketch_, p, pass.batch, E);
    pass.losses->push_back({moe_.device_loss_alpha, device});
  }
  const Var z = router_z(sketch_, branch, N, E);
  pass.losses->push_back({moe_.z_loss_alpha, z});
}

Layers::Routes Layers::top_k_router(const Pass& pass, const Var& x) const {
  const std::int64_t N = pass.rows(), K = moe_.num_experts_per_tok;
  const Var logits = linear(sketch_, x, N, moe_.n_routed_experts);
  const Var scored = scores(sketch_, logits);
  const Tensor ids = decided_once(pass, [&] {
    Tensor chosen = sketch_.words(N * K);
    select_experts(sketch_, moe_.n_routed_experts, moe_.n_group);
    return chosen;
  });
  leave_losses(pass, x, logits, ids);
  const Routing order = decided_once(pass, [&] { return carry_out(N, ids); });
  const Var weights = gate_weights(sketch_, scored, ids, N, K, moe_.norm_topk_prob ? Sums::yes : Sums::no);
  return {order, weights};
}

Layers::Routes Layers::hash_router(const Pass& pass) const {
  const std::int64_t choices = pass.rows() * moe_.num_experts_per_tok;
  const Routing order = decided_once(pass, [&] {
    const Tensor ids = sketch_.words(choices);
    return carry_out(pass.rows(), ids);
  });
  return {order, Var{sketch_.reals(choices)}};
}

Var Layers::computed(const Var& sent, const Routing& routing) const {
  const std::int64_t E = moe_.n_routed_experts;
  const ExchangePlan* const plan = rows_.exchange;
  const ExpertSize size{plan != nullptr ? plan->local_experts() : E, model_.hidden_size,
                        moe_.moe_intermediate_size};
  if (plan == nullptr) return expert_ffn(sketch_, sent, routing, size);
  return remote_experts(sketch_, sent, *plan, size);
}

Var Layers::routed(const Var& x, const Routes& routes) const {
  const Var sent = dispatch(sketch_, x, routes.order, model_.hidden_size);
  const Var outputs = computed(sent, routes.order);
  return combine(sketch_, outputs, routes.weights, routes.order, model_.hidden_size);
}

Var Layers::mixture(const Pass& pass, const Var& x) const {
  const Routes routes = moe_.router == RouterKind::hash ? hash_router(pass) : top_k_router(pass, x);
  const Var y = routed(x, routes);
  if (moe_.n_shared_experts == 0) return y;
  const Var shared = feed_forward(pass.rows(), moe_.n_shared_experts * moe_.moe_intermediate_size, x);
  return add(sketch_, y, shared);
}

Var Layers::attend(const Pass& pass, const Var& x) const {
  const Var normed = rms_norm(sketch_, x, pass.rows(), model_.hidden_size);
  const Var attended = self_attention(pass, normed);
  return add(sketch_, x, attended);
}

Var Layers::feed(const Pass& pass, std::int64_t layer, const Var& u) const {
  const Var normed = rms_norm(sketch_, u, pass.rows(), model_.hidden_size);
  const Var fed = moe_.is_moe_layer(layer) ? mixture(pass, normed)
                                           : feed_forward(pass.rows(), model_.intermediate_size, normed);
  return add(sketch_, u, fed);
}

Var Layers::run_recomputed(const Part& part, const Pass& pass, const Var& x) const {
  std::vector<Pass::Loss> noted;
  const Region region = [part, pass, first = &noted](Kept& kept, const Var& input) {
    std::vector<Pass::Loss> losses;
    Pass inner = pass;
    inner.kept = &kept;
    inner.losses = &losses;
    std::vector<Var> outputs{part(inner, input)};
    for (const Pass::Loss& loss : losses) outputs.push_back(loss.value);
    if (!kept.replaying()) *first = losses;
    return outputs;
  };
  const std::vector<Var> outputs = recompute(sketch_, region, x);
  for (std::size_t i = 0; i < noted.size(); ++i) pass.losses->push_back({noted[i].alpha, outputs[i + 1]});
  return outputs[0];
}

Var Layers::block(const Pass& pass, std::int64_t layer, const Var& x) const {
  const Part feed_part = [this, layer](const Pass& inner, const Var& u) { return feed(inner, layer, u); };
  const Part whole = [this, layer](const Pass& inner, const Var& inner_x) {
    const Var u = attend(inner, inner_x);
    return feed(inner, layer, u);
  };
  if (pass.recompute == Recompute::none) return whole(pass, x);
  if (pass.recompute == Recompute::full) return run_recomputed(whole, pass, x);
  const Var u = attend(pass, x);
  return run_recomputed(feed_part, pass, u);
}

Var Layers::blocks(const Pass& pass, Var x) const {
  for (std::int64_t layer = 0; layer < model_.num_hidden_layers; ++layer) x = block(pass, layer, x);
  return x;
}

Var Layers::loss_sum(const Pass& pass) const {
  const Var x = embedding(sketch_, pass.rows(), model_.hidden_size);
  const Var y = blocks(pass, x);
  const Var normed = rms_norm(sketch_, y, pass.rows(), model_.hidden_size);
  return linear_cross_entropy(sketch_, normed, pass.rows(), model_.vocab_size);
}

}  // namespace granule::sketch
