// A model ready to run: a configuration, its parameters, and the stack of layers that uses them.
#pragma once
#include "moe/config.hpp"
#include "moe/experts/expert_placement.hpp"
#include "moe/routing/forced_routing.hpp"
#include "nn/language_model.hpp"

namespace granule {

/// Declares the parameters of such a model and nothing else, for callers that want names and shapes without
/// the memory. Of the routed experts it declares those of one part.
void declare_parameters(ParameterStore& store, const ModelConfig& model, const MoeConfig& moe,
                        const ExpertPlacement& experts = {});

/// Which parts of a model are here if ranks share it. By default one rank holds everything.
struct ModelSharding {
  ExpertPlacement experts{};
  ArenaLayout layout{};
  Residence residence = Residence::whole;
};

/// The place of layer `layer` among these numbers of MoE layers. It must be one of them.
[[nodiscard]] std::size_t index_of(const std::vector<std::int64_t>& moe_layers, std::int64_t layer);

class Model {
 public:
  /// Declares and materialises. The values are undefined until they are initialised or loaded. Experts of
  /// other ranks are not among the parameters.
  Model(Context& context, const ModelConfig& model, const MoeConfig& moe, Precision precision,
        Gradients gradients, const ModelSharding& sharding = {}, Routing routing = Routing::natural);

  [[nodiscard]] ParameterStore& parameters() { return parameters_; }
  [[nodiscard]] const ParameterStore& parameters() const { return parameters_; }
  [[nodiscard]] const LanguageModel& network() const { return network_; }
  [[nodiscard]] const ModelConfig& config() const { return model_; }
  [[nodiscard]] const MoeConfig& moe() const { return moe_; }
  [[nodiscard]] const Precision& precision() const { return parameters_.precision(); }
  /// The numbers of the MoE layers, in order.
  [[nodiscard]] const std::vector<std::int64_t>& moe_layers() const { return moe_layers_; }

 private:
  ModelConfig model_;
  MoeConfig moe_;
  std::vector<std::int64_t> moe_layers_;
  ParameterStore parameters_;
  LanguageModel network_;
};

}  // namespace granule
