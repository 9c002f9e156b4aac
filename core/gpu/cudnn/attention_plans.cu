#include "core/error.hpp"
#include "core/gpu/cudnn/attention_plans.cuh"

namespace granule::gpu::dnn {
namespace {

/// NVIDIA's own front end works around wrong gradients of older libraries, for sequences that are no multiple
/// of 128 tokens.
constexpr std::size_t kOldestLibrary = 91600;

/// cuDNN 9.18 has a backward for Blackwell that repeats without a square of the sequence length in memory.
/// Its heuristics do not suggest it, and it does not compile with a mask. The numbers are those of NVIDIA's
/// own front end.
std::optional<Pinned> pinned_for(Direction direction, const AttentionShape& shape, int capability) {
  if (direction == Direction::forward || shape.masked || capability < 100 || capability > 103)
    return std::nullopt;
  constexpr std::int64_t kEngine = 5, kKernel = 31, kStages = 2;
  return Pinned{kEngine, {{CUDNN_KNOB_TYPE_KERNEL_CFG, kKernel}, {CUDNN_KNOB_TYPE_STAGES, kStages}}};
}

/// The most sequences that divide a batch and need no more bytes than allowed. It is the least number of
/// which every run can begin at 16 bytes of the log sums, if that is more.
std::int64_t sequences_of(const AttentionShape& shape, std::int64_t bytes) {
  constexpr std::int64_t kLogSumsOfPack = 4;
  std::int64_t chosen = shape.batch;
  for (std::int64_t n = shape.batch - 1; n > 0 && bytes / shape.batch * chosen > kMostBytes; --n)
    if (shape.batch % n == 0 && n * shape.seq * shape.heads % kLogSumsOfPack == 0) chosen = n;
  return chosen;
}

}  // namespace

std::int64_t mask_bytes(const AttentionShape& shape) {
  constexpr std::int64_t kElement = 2;
  return shape.masked ? shape.batch * shape.seq * shape.mask_pitch() * kElement : 0;
}

std::vector<Configuration> configure_attention(Direction direction, const AttentionShape& shape,
                                               const Target& target) {
  // NVIDIA's front end also refuses sequences of one token, although engines take them.
  if (shape.seq < 2) return {};
  auto graph = std::make_shared<Graph>();
  direction == Direction::forward ? add_forward(*graph, shape) : add_backward(*graph, shape);
  return Configuration::candidates(std::move(graph), target, pinned_for(direction, shape, target.capability));
}

std::optional<AttentionPlan> make_attention_plan(Direction direction, AttentionShape shape,
                                                 const Target& target) {
  auto configurations = configure_attention(direction, shape, target);
  if (configurations.empty()) return std::nullopt;
  const std::int64_t all =
      std::exchange(shape.batch, sequences_of(shape, configurations.front().workspace() + mask_bytes(shape)));
  if (shape.batch != all) configurations = configure_attention(direction, shape, target);
  for (Configuration& configuration : configurations)
    if (auto plan = Plan::compile(std::move(configuration), target))
      return AttentionPlan{std::move(*plan), shape.batch};
  return std::nullopt;
}

AttentionPlans::AttentionPlans(cudaStream_t stream, int capability)
    : target_{.capability = capability}, usable_(cudnnGetVersion() >= kOldestLibrary) {
  check(cudnnCreate(&target_.handle), "cudnnCreate");
  check(cudnnSetStream(target_.handle, stream), "cudnnSetStream");
}

AttentionPlans::~AttentionPlans() {
  plans_.clear();
  cudnnDestroy(target_.handle);
}

const AttentionPlan* AttentionPlans::find(Direction direction, const AttentionShape& shape) {
  const auto [place, is_new] = plans_.try_emplace({direction, shape});
  if (is_new && usable_) {
    try {
      place->second = make_attention_plan(direction, shape, target_);
    } catch (...) {
      plans_.erase(place);
      throw;
    }
  }
  return place->second ? &*place->second : nullptr;
}

std::string AttentionPlans::remarks() const {
  const std::size_t version = cudnnGetVersion();
  const std::string library =
      fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  std::string text;
  for (const auto& [key, plan] : plans_) {
    const auto& [direction, shape] = key;
    text += fmt::format("attention {} of {} × {} tokens, {} heads over {} of {} and {}{}: ",
                        direction == Direction::forward ? "forward" : "backward", shape.batch, shape.seq,
                        shape.heads, shape.kv_heads, shape.qk_dim, shape.v_dim,
                        shape.masked ? ", by document" : "");
    if (plan) {
      text += fmt::format("{}, engine {}, {:.1f} MiB of workspace, {} sequences at once\n", library,
                          plan->plan.configuration().engine(),
                          static_cast<double>(plan->plan.workspace()) / (1 << 20), plan->sequences);
    } else {
      text += fmt::format("batched products, because {} {}\n", library,
                          usable_ ? "has no engine for it that repeats" : "is older than 9.16");
    }
  }
  return text;
}

}  // namespace granule::gpu::dnn
