#include "moe/model/model.hpp"

#include <algorithm>

#include "moe/model/moe_layer.hpp"

namespace granule {
namespace {

MakeFeedForward make_feed_forward(const ModelConfig& model, const MoeConfig& moe,
                                  const ExpertPlacement& placement, Routing routing) {
  return [model, moe, placement, routing](ParameterStore& store, const std::string& prefix,
                                          std::int64_t layer) -> FeedForwardFunction {
    if (moe.is_moe_layer(layer)) return MoeLayer(store, prefix, layer, model, moe, placement, routing);
    const FeedForward dense(store, prefix, model.hidden_size, model.intermediate_size);
    return [dense](const Pass&, const Var& x_ND) { return dense(x_ND); };
  };
}

std::vector<std::int64_t> moe_layers_of(const ModelConfig& model, const MoeConfig& moe) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = 0; layer < model.num_hidden_layers; ++layer) {
    if (moe.is_moe_layer(layer)) layers.push_back(layer);
  }
  return layers;
}

}  // namespace

std::size_t index_of(const std::vector<std::int64_t>& moe_layers, std::int64_t layer) {
  const auto found = std::find(moe_layers.begin(), moe_layers.end(), layer);
  GRANULE_CHECK(found != moe_layers.end(), "layer {} is not an MoE layer", layer);
  return static_cast<std::size_t>(found - moe_layers.begin());
}

void declare_parameters(ParameterStore& store, const ModelConfig& model, const MoeConfig& moe,
                        const ExpertPlacement& experts) {
  static_cast<void>(LanguageModel(store, model, make_feed_forward(model, moe, experts, Routing::natural)));
}

Model::Model(Context& context, const ModelConfig& model, const MoeConfig& moe, Precision precision,
             Gradients gradients, const ModelSharding& sharding, Routing routing)
    : model_(model),
      moe_(moe),
      moe_layers_(moe_layers_of(model, moe)),
      network_(parameters_, model_, make_feed_forward(model_, moe_, sharding.experts, routing)) {
  parameters_.lay_out(sharding.layout);
  parameters_.materialise(context, precision, gradients, sharding.residence);
  network_.prepare(context, precision.values);
}

}  // namespace granule
