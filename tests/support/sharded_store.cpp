#include "tests/support/sharded_store.hpp"

namespace granule::test {

void declare_odd(ParameterStore& store, bool tied) {
  const Param embedding = store.declare("embedding", {7, 13});
  for (const char* const layer : {"a", "b"}) {
    store.next_unit();
    store.declare(std::string(layer) + ".norm", {13}, ParameterRole::norm);
    store.declare({{5, 3, 13},
                   {{std::string(layer) + ".experts", {5, 3, 13}}},
                   ParameterRole::matrix,
                   ParameterGroup::expert});
    store.declare(std::string(layer) + ".after", {11, 3});
  }
  store.next_unit();
  store.declare("norm", {13}, ParameterRole::norm);
  if (tied) {
    store.use_again(embedding);
  } else {
    store.declare("head", {7, 13});
  }
}

ShardedStore::ShardedStore(Context& context, Communicator& world, ZeroStage stage, Precision precision,
                           const std::function<void(ParameterStore&)>& declare, std::int64_t ep)
    : mesh(make_mesh(world, {.ep = ep}, ep)) {
  declare(store);
  store.lay_out(arena_layout(mesh.position()));
  store.materialise(context, precision, Gradients::yes, residence_of(stage));
  parameters.emplace(context, mesh, store, stage);
}

}  // namespace granule::test
