// What one layout saved, another one loads. The state is the same bit for bit, and so is the training from
// there.
#include <algorithm>

#include "core/kernels/fill.hpp"
#include "data/models/safetensors_writer.hpp"
#include "moe/model/model.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sharded_run.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kBefore = 3, kAfter = 10;

std::string text_of(const ShardedRunOptions& options) {
  return fmt::format("{} ranks, ep {}, ZeRO {}", options.ranks, options.layout.ep, options.layout.zero);
}

/// The tensors of an outcome in a file, as in a checkpoint. The arithmetic does not depend on their shapes.
class Saved {
 public:
  explicit Saved(const ShardedRunOptions& options) {
    const ShardedOutcome outcome = sharded_run(options);
    ParameterStore whole;
    const ShardedCase of = sharded_case();
    declare_parameters(whole, of.model, of.moe);
    const auto shape_of = [&](const std::string& name) {
      if (whole.has_state(name)) return whole.state(name).shape.dims();
      const auto bare = name.find("model.");
      return whole.find(name.substr(bare)).shape.dims();
    };
    std::vector<TensorToSave> tensors;
    for (const auto& [name, values] : outcome.tensors) {
      const auto dims = shape_of(name);
      tensors.push_back(
          tensor_of_bytes({name, DType::f64, {dims.begin(), dims.end()}}, std::as_bytes(std::span(values))));
    }
    write_tensors(directory_.path(), "saved", tensors, 1 << 30, ShardNames::plain_when_single);
    set_.add(SafetensorsFile::open(directory_ / "saved.safetensors"));
    tensors_ = outcome.tensors;
  }
  [[nodiscard]] const TensorSet& set() const { return set_; }
  [[nodiscard]] const std::map<std::string, std::vector<double>>& tensors() const { return tensors_; }

 private:
  TempDir directory_;
  TensorSet set_;
  std::map<std::string, std::vector<double>> tensors_;
};

ShardedRunOptions options_of(int ranks, std::int64_t ep, std::int64_t zero) {
  return {.ranks = ranks, .layout = {.ep = ep, .zero = zero}, .steps = kBefore};
}

/// What was saved is the same after it was loaded. `to` then begins with it.
void check_load(const Saved& saved, ShardedRunOptions& to) {
  to.start = &saved.set();
  to.start_step = kBefore;
  to.steps = 0;
  CHECK(sharded_run(to).tensors == saved.tensors());
}

void check_reshard(const ShardedRunOptions& from, ShardedRunOptions to) {
  INFO(text_of(from) << " to " << text_of(to));
  const Saved saved(from);
  check_load(saved, to);
  to.steps = kAfter;
  ShardedRunOptions straight = from;
  straight.start = &saved.set();
  straight.start_step = kBefore;
  straight.steps = kAfter;
  const ShardedOutcome there = sharded_run(to), here = sharded_run(straight);
  CHECK(there.counts == here.counts);
  CHECK(largest_relative(there.ce, here.ce) <= 1e-12);  // sums in another order, as in the parity matrix
  CHECK(largest_relative(there.grad_norm, here.grad_norm) <= 1e-11);
}

}  // namespace

TEST_CASE("resharding: every ordered pair of 1, 2, 4 and 8 thread ranks") {
  for (const int from : {1, 2, 4, 8}) {
    for (const int to : {1, 2, 4, 8}) {
      if (from == to) continue;
      check_reshard(options_of(from, from > 2 ? 2 : 1, 1), options_of(to, to > 1 ? 2 : 1, 3));
    }
  }
}

TEST_CASE(
    "resharding: the masters of a run in bf16 are the same in another layout, and so is its next step") {
  for (const auto& [before, after] : {std::pair{0, 3}, {3, 0}, {1, 2}}) {
    INFO("ZeRO " << before << " to " << after);
    ShardedRunOptions from = options_of(2, 1, before), to = options_of(2, 1, after);
    from.dtype = to.dtype = DType::bf16;
    const Saved saved(from);
    check_load(saved, to);
    from.start = &saved.set();
    from.start_step = kBefore;
    from.steps = to.steps = 1;
    CHECK(sharded_run(to).ce == sharded_run(from).ce);
  }
}

TEST_CASE("resharding: changes of ep and of the ZeRO stage on thread ranks") {
  const std::int64_t stages[] = {0, 1, 2, 3};
  for (const std::int64_t from : stages) {
    for (const std::int64_t to : stages) {
      if (from != to) check_reshard(options_of(2, 1, from), options_of(2, 2, to));
    }
  }
  for (const std::int64_t from : {1, 2, 4}) {
    for (const std::int64_t to : {1, 2, 4}) {
      if (from != to) check_reshard(options_of(4, from, 1), options_of(4, to, 1));
    }
  }
}

TEST_CASE("resharding: an expert's part that does not arrive in a checkpoint is found by its name") {
  const ShardedRunOptions options = options_of(4, 2, 1);
  ShardedRunOptions lossy = options;
  // World rank 3 has the second part of the second half of the experts. One moment of theirs is lost.
  lossy.disturbance = [](const Collective& call, const Communicator& group) {
    if (call.phase.name() == "checkpoint" && group.world_rank() == 3 && call.count > 0)
      fill_zero(call.held_input);
    return Runs::once;
  };
  const auto whole = sharded_run(options).tensors, damaged = sharded_run(lossy).tensors;
  std::vector<std::string> different;
  for (const auto& [name, values] : whole) {
    if (damaged.at(name) != values) different.push_back(name);
  }
  REQUIRE_FALSE(different.empty());
  for (const std::string& name : different) {
    INFO(name);
    CHECK(name.starts_with("exp_avg"));  // weights are complete on rank 0 and in its row
  }
  const auto lost = std::ranges::count_if(different, [](const std::string& name) {
    const auto at = name.find(".experts.");
    return at != std::string::npos && name[at + 9] >= '4';
  });
  CHECK(lost > 0);
}
