#include "moe/training/sharded_model.hpp"

#include <map>

#include "distributed/checkpoints/parameter_files.hpp"

namespace granule {
namespace {

ModelSharding sharding_of(const Mesh& mesh, const ParallelLayout& layout) {
  return {.experts = placement_over(*mesh.expert, layout.receive_limit),
          .layout = arena_layout(mesh.position()),
          .residence = residence_of(layout.stage())};
}

struct Origin {
  std::int64_t column, offset;
};

/// Records where the tensors of a column's ranks are, by name.
void record_column(std::map<std::string, Origin>& places, const ModelConfig& model, const MoeConfig& moe,
                   const MeshPosition& at, std::int64_t column) {
  ParameterStore store;
  declare_parameters(store, model, moe, {.parts = at.ep, .part = column});
  store.lay_out(arena_layout(at));
  for (const LogicalTensor& tensor : store.logical())
    places.try_emplace(tensor.name, Origin{column, tensor.offset});
}

}  // namespace

ShardedModel::ShardedModel(Context& context, Communicator& world, const ModelConfig& config,
                           const MoeConfig& moe, Precision precision, const ParallelLayout& layout,
                           Routing routing)
    : layout_(layout),
      mesh_(make_mesh(world, layout, moe.n_routed_experts)),
      model_(context, config, moe, precision, Gradients::yes, sharding_of(mesh_, layout), routing),
      parameters_(context, mesh_, model_.parameters(), layout.stage()),
      losses_(context, moe, model_.moe_layers()) {}

void ShardedModel::load(const TensorSet& tensors, const std::string& source) {
  ParameterStore whole;
  declare_parameters(whole, model_.config(), model_.moe());
  check_parameters(whole, tensors, source);
  for (const ArenaPart& part : parameters_.places_of_values())
    load_part(parameters_.store(), parameters_.plan(), part, "", tensors);
  load_states(parameters_.store(), tensors);
}

StepGradients ShardedModel::compute_gradients(const StepTotals& totals, Recompute recompute,
                                              RouterRecord& record, const std::function<MicroBatch()>& next) {
  parameters_.begin_step();
  record.begin_step();
  losses_.begin_step();
  const std::int64_t micro_batches = totals.micro_batches / ranks().size();
  for (std::int64_t micro = 0; micro < micro_batches; ++micro) {
    // Each phase counts as progress, because all micro-batches together may take long.
    ranks().ledger().begin_phase("data");
    const MicroBatch batch = next();
    ranks().ledger().begin_phase("gradients");
    parameters_.begin_micro_batch(micro, micro_batches);
    train_micro_batch(model_, batch, totals, recompute,
                      {.losses = &losses_,
                       .routing = &record,
                       .balance_gradients = record.balance_gradients(),
                       .units = &parameters_});
  }
  const PhaseTimer timer(parameters_.own_values(0).context().profile(), "ranks");
  parameters_.finish_gradients();
  record.add_balance_of_ranks(ranks());
  measure_shares(record);
  // Everything is on its way before the first number is asked for, so the host waits once.
  GradientNorm norm(parameters_);
  record.start_reading();
  LossReport report = losses_.report();
  report.add_ranks(ranks());
  record.add_ranks(ranks());
  return {std::move(report), std::move(norm)};
}

/// Measures the parts of the routers' gradients that this rank owns.
void ShardedModel::measure_shares(RouterRecord& record) const {
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    const auto gate =
        fmt::format("model.layers.{}.mlp.gate.weight", model_.moe_layers()[static_cast<std::size_t>(i)]);
    if (!parameters_.store().has(gate)) continue;
    const LogicalTensor& tensor = parameters_.store().find(gate);
    if (!tensor.trainable) continue;
    const std::int64_t begin = tensor.offset, end = begin + tensor.shape.numel();
    for (const ArenaPart::Range& range : ranges_held(parameters_.plan(), Extent::parts, begin, end))
      record.measure_shares(i, range.begin - begin, parameters_.own_gradients(range));
  }
}

std::vector<GlobalTensor> global_tensors(const ModelConfig& model, const MoeConfig& moe,
                                         const MeshPosition& at) {
  std::map<std::string, Origin> places;
  for (std::int64_t column = 0; column < at.ep; ++column) record_column(places, model, moe, at, column);
  ParameterStore whole;
  declare_parameters(whole, model, moe);
  std::vector<GlobalTensor> tensors;
  for (const LogicalTensor& tensor : whole.logical()) {
    const Origin& place = places.at(tensor.name);
    tensors.push_back({tensor, place.column});
    tensors.back().tensor.offset = place.offset;
  }
  return tensors;
}

}  // namespace granule
