#include "distributed/zero/gathered_tensors.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kColumns = 2;
constexpr std::uint64_t kSeed = 9;

void declare_dense(ParameterStore& store) {
  store.declare("embedding", {7, 13});
  store.next_unit();
}
/// Each column of ranks has its own experts.
void declare_experts(ParameterStore& store, std::int64_t column) {
  const std::string name = "experts." + std::to_string(column);
  store.declare({{5, 3, 13}, {{name, {5, 3, 13}}}, ParameterRole::matrix, ParameterGroup::expert});
}

/// Every tensor of the job, each where its ranks have it.
std::vector<GlobalTensor> all_tensors(const ParameterStore& of_a_rank) {
  std::vector<GlobalTensor> tensors{{of_a_rank.logical()[0]}};
  for (std::int64_t column = 0; column < kColumns; ++column) {
    tensors.push_back({of_a_rank.logical()[1], column});
    tensors.back().tensor.name = "experts." + std::to_string(column);
  }
  return tensors;
}

}  // namespace

TEST_CASE("gathered_tensors: rank 0 receives every tensor, whichever ranks have it") {
  TestContext context;
  ParameterStore whole;
  declare_dense(whole);
  for (std::int64_t column = 0; column < kColumns; ++column) declare_experts(whole, column);
  whole.materialise(context, DType::f64, Gradients::no);
  whole.initialise(kSeed, 0.5);
  for (const ZeroStage stage : {ZeroStage::nothing, ZeroStage::values}) {
    run_ranks(4, [&](Communicator& world, Context& of_rank) {
      const MeshPosition at{world.size(), kColumns, world.rank()};
      ShardedStore sharded(
          of_rank, world, stage, DType::f64,
          [&](ParameterStore& store) {
            declare_dense(store);
            declare_experts(store, at.column());
          },
          kColumns);
      ShardedParameters& parameters = *sharded.parameters;
      parameters.initialise(kSeed, 0.5);
      const auto tensors = gathered(parameters, parameters.values(), all_tensors(sharded.store), "saved.");
      expect(tensors.size() == 3, "all tensors");
      for (const TensorToSave& tensor : tensors) {
        const Numbers values = values_read(tensor);  // all ranks do this together
        const std::string name = tensor.spec.name.substr(std::string("saved.").size());
        if (world.rank() == 0) expect(values == values_of(whole.value_of(whole.find(name))), name);
      }
    });
  }
}
