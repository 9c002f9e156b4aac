// Plans of attention, made when a shape is first seen and kept as long as the stream of the Context, and what
// was decided about each.
#pragma once
#include <map>
#include <string>

#include <cuda_runtime.h>

#include "core/gpu/cudnn/attention_graph.cuh"
#include "core/gpu/cudnn/plan.cuh"

namespace granule::gpu::dnn {

enum class Direction : std::uint8_t { forward, backward };

/// How one direction of an attention is computed.
struct AttentionPlan {
  Plan plan;
  std::int64_t sequences;  ///< that one run takes; it divides the batch
};

/// Bytes of memory that a run of so many sequences needs beside its operands: the engine's workspace and the
/// mask. More than kMostBytes are only used if one sequence needs them.
inline constexpr std::int64_t kMostBytes = std::int64_t{512} << 20;
[[nodiscard]] std::int64_t mask_bytes(const AttentionShape& shape);

/// The engines that would compute all sequences at once, the best first.
[[nodiscard]] std::vector<Configuration> configure_attention(Direction direction, const AttentionShape& shape,
                                                             const Target& target);
/// A plan with the first of these engines that cuDNN can compile, for fewer sequences if all would need too
/// many bytes. Nothing if there is no engine.
[[nodiscard]] std::optional<AttentionPlan> make_attention_plan(Direction direction, AttentionShape shape,
                                                               const Target& target);

class AttentionPlans {
 public:
  AttentionPlans(cudaStream_t stream, int capability);
  ~AttentionPlans();
  AttentionPlans(const AttentionPlans&) = delete;
  AttentionPlans& operator=(const AttentionPlans&) = delete;

  /// nullptr if cuDNN does not compute this direction of this shape.
  [[nodiscard]] const AttentionPlan* find(Direction direction, const AttentionShape& shape);
  [[nodiscard]] cudnnHandle_t handle() const { return target_.handle; }
  /// A line for each shape and direction that was asked for.
  [[nodiscard]] std::string remarks() const;

 private:
  Target target_;
  bool usable_;  // whether the library is one that we trust
  std::map<std::pair<Direction, AttentionShape>, std::optional<AttentionPlan>> plans_;
};

}  // namespace granule::gpu::dnn
