// What ranks hold of a small network, and what they exchange, if some of its blocks are frozen.
#include "distributed/zero/sharded_parameters.hpp"

#include <cmath>
#include <map>
#include <set>

#include "autograd/functions.hpp"
#include "core/kernels/accumulate.hpp"
#include "core/transfer.hpp"
#include "distributed/zero/gathered_tensors.hpp"
#include "distributed/zero/sharded_optimizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Names = std::set<std::string>;
constexpr std::int64_t kRows = 4, kWidth = 6, kVocabulary = 11;

/// An embedding, a unit with an expert beside dense blocks, and a head.
struct Network {
  Param embedding, first, expert, head;

  Network(ParameterStore& store, const Names& frozen) {
    const auto block = [&](const std::string& name, const Shape& shape, ParameterGroup group,
                           ParameterRole role = ParameterRole::matrix) {
      return store.declare({shape, {{name, shape}}, role, group, !frozen.contains(name)});
    };
    embedding = block("embedding", {kVocabulary, kWidth}, ParameterGroup::dense);
    store.next_unit();
    first = block("first", {kWidth, kWidth}, ParameterGroup::dense);
    // A norm does not decay, so the ranges that decay have a border.
    expert = block("expert", {kWidth, kWidth}, ParameterGroup::expert, ParameterRole::norm);
    store.next_unit();
    head = block("head", {kVocabulary, kWidth}, ParameterGroup::dense);
  }

  [[nodiscard]] Var loss(const Pass& pass, const Tensor& token_N, const Tensor& target_NV) const {
    const auto embed = [&] {
      const UnitScope unit(pass, 0);
      return granule::embedding(embedding, token_N);
    };
    const auto layer = [&](const Var& x) {
      const UnitScope unit(pass, 1);
      const Var y = linear(x, first);
      return linear(y, expert);
    };
    const Var x = embed();
    const Var y = layer(x);
    const UnitScope unit(pass, 2);
    const Var prediction = linear(y, head);
    return mse(prediction, {target_NV});
  }
};

using Tensors = std::map<std::string, Numbers>;

/// What rank 0 knows after one step.
struct Outcome {
  Tensors before, after, gradients, moments;
  double norm = 0.0;
  std::int64_t trainable = 0, arena = 0, traffic = 0, gradient_bytes = 0, optimizer_bytes = 0;
  bool as_predicted = false, embedding_backward = false;
};

class Job {
 public:
  Job(Context& context, Communicator& world, ZeroStage stage, const Names& frozen)
      : context_(context),
        world_(world),
        stage_(stage),
        sharded_(context, world, stage, DType::f64,
                 [&](ParameterStore& store) { network_.emplace(store, frozen); }),
        parameters_(*sharded_.parameters),
        optimizer_(context, parameters_, {}, DecayOf::matrices) {}

  Outcome step() {
    parameters_.initialise(3, 0.5);
    Outcome outcome{.before = read(parameters_.values())};
    const std::int64_t sent = world_.ledger().bytes(kind(), "gradients");
    backward();
    outcome.traffic = world_.ledger().bytes(kind(), "gradients") - sent;
    outcome.gradients = read(gradients());
    outcome.norm = GradientNorm(parameters_).get();
    optimizer_.step(0.1, 1.0);
    outcome.after = read(parameters_.values());
    outcome.moments = read(optimizer_.first_moment());
    note_memory(outcome);
    return outcome;
  }

 private:
  [[nodiscard]] CollectiveKind kind() const {
    return stage_ == ZeroStage::nothing ? CollectiveKind::all_reduce : CollectiveKind::reduce_scatter;
  }

  void backward() {
    context_.profile().start();
    const std::int32_t r = world_.rank();
    const Tensor tokens = ids_of(context_, {kRows}, std::vector<std::int32_t>{r, 3, 3 + r, 10});
    const Tensor target = tensor_of(context_, {kRows, kVocabulary}, DType::f64,
                                    normal_values(kRows * kVocabulary, 20 + static_cast<std::uint64_t>(r)));
    parameters_.begin_step();
    parameters_.begin_micro_batch(0, 1);
    Tape tape;
    const Pass pass{.context = context_, .batch = 1, .seq = kRows, .units = &parameters_};
    Var loss;
    {
      const Recording recording(&tape);
      loss = network_->loss(pass, tokens, target);
    }
    const Tensor seed = tensor_of(context_, {1}, DType::f64, std::vector<double>{1.0});
    tape.backward(std::span(&loss, 1), std::span(&seed, 1));
    parameters_.finish_gradients();
  }

  /// This rank's parts of the gradients, one after the other.
  [[nodiscard]] ArenaPart gradients() const {
    const ShardPlan& plan = parameters_.plan();
    const Tensor parts = Tensor::empty(context_, {plan.trainable.own}, DType::f64, MemoryCategory::scratch);
    for (std::size_t i = 0; i < plan.trainable.shards; ++i) {
      accumulate(parameters_.own_gradients(i),
                 {parts.slice(plan.shards[i].offset, {plan.shards[i].size()}), 0.0});
    }
    return {parts, Extent::parts, Covers::trainable};
  }

  [[nodiscard]] Tensors read(const ArenaPart& part) const {
    std::vector<GlobalTensor> names;
    for (const LogicalTensor& tensor : sharded_.store.logical()) names.push_back({tensor});
    Tensors tensors;
    for (const TensorToSave& tensor : gathered(parameters_, part, names, ""))
      tensors[tensor.spec.name] = values_read(tensor);
    return tensors;
  }

  void note_memory(Outcome& outcome) const {
    const ShardPlan& plan = parameters_.plan();
    const MemoryTable& memory = context_.memory();
    outcome.gradient_bytes = memory.current(MemoryCategory::gradients);
    outcome.optimizer_bytes = memory.current(MemoryCategory::optimizer);
    const ShardedBytes predicted = sharded_bytes(plan, sharded_.store.units(), stage_, DType::f64);
    outcome.as_predicted = outcome.gradient_bytes == predicted.gradients &&
                           outcome.optimizer_bytes == predicted.optimizer &&
                           memory.current(MemoryCategory::weights) == predicted.weights &&
                           memory.current(MemoryCategory::communication) == predicted.communication;
    outcome.trainable = plan.trainable.arena;
    outcome.arena = plan.arena;
    outcome.embedding_backward = context_.profile().seconds().contains("embedding.backward");
  }

  Context& context_;
  Communicator& world_;
  ZeroStage stage_;
  std::optional<Network> network_;
  ShardedStore sharded_;
  ShardedParameters& parameters_;
  ShardedOptimizer optimizer_;
};

Outcome run(int ranks, ZeroStage stage, const Names& frozen) {
  Outcome of_first;
  run_ranks(ranks, [&](Communicator& world, Context& context) {
    Job job(context, world, stage, frozen);
    Outcome mine = job.step();
    if (world.rank() == 0) of_first = std::move(mine);
  });
  return of_first;
}

void check_frozen(const Outcome& some, const Outcome& all, const Names& frozen) {
  double squares = 0.0;
  for (const auto& [name, gradient] : all.gradients) {
    CAPTURE(name);
    const bool still = frozen.contains(name);
    CHECK(some.gradients.contains(name) == !still);
    CHECK(some.moments.contains(name) == !still);
    CHECK((some.after.at(name) == some.before.at(name)) == still);
    CHECK(some.before.at(name) == all.before.at(name));
    if (still) continue;
    CHECK(some.gradients.at(name) == gradient);  // the same bits
    for (const double g : gradient) squares += g * g;
  }
  CHECK(some.norm == Approx(std::sqrt(squares)).epsilon(1e-13));
  CHECK(some.as_predicted);
  CHECK(some.trainable < some.arena);
  CHECK(all.trainable == all.arena);
  // Bytes and traffic are those of the trainable elements.
  CHECK(some.traffic * all.trainable == all.traffic * some.trainable);
  CHECK(some.gradient_bytes * all.trainable == all.gradient_bytes * some.trainable);
  CHECK(some.optimizer_bytes * all.trainable == all.optimizer_bytes * some.trainable);
  CHECK(some.embedding_backward == !frozen.contains("embedding"));
}

}  // namespace

TEST_CASE("sharded_parameters: frozen blocks keep their values, and have no gradient, traffic or moment") {
  for (const int ranks : {1, 2}) {
    for (const ZeroStage stage :
         {ZeroStage::nothing, ZeroStage::optimizer, ZeroStage::gradients, ZeroStage::values}) {
      CAPTURE(ranks, static_cast<int>(stage));
      const Outcome all = run(ranks, stage, {});
      for (const Names& frozen : {Names{"embedding"}, Names{"first", "embedding"}, Names{"expert", "head"}})
        check_frozen(run(ranks, stage, frozen), all, frozen);
    }
  }
}
