// What a plan is of: a run, the ranks that share it out, and how its numbers are stored.
#pragma once
#include "apps/config/run_config.hpp"
#include "moe/sketch/model.hpp"

namespace granule {

struct PlanRequest {
  /// Whether ranks reach each other's memory (threads, NVLink and its like), or send messages that are kept
  /// in pieces before they are summed.
  enum class Carrier : std::uint8_t { memory, mpi };

  RunConfig config;
  std::int64_t ranks = 1;
  std::int64_t threads = 1;  ///< of a rank: some scratch is one piece a thread
  DType dtype = DType::f32;  ///< bf16: mixed precision, see StateBytes
  Carrier carrier = Carrier::memory;

  [[nodiscard]] std::int64_t micro_batches() const {  ///< of a rank, in a step
    return config.train.batch_size / config.train.micro_batch_size / ranks;
  }
  [[nodiscard]] std::int64_t tokens() const {  ///< of all ranks, in a step
    return config.train.batch_size * config.data.seq_len;
  }
};

/// How a parameter is stored: in f32 and f64 everything alike, two moments. Mixed precision: values that are
/// computed with in bf16, their gradients summed in f32, and float32 masters beside two float32 moments.
struct StateBytes {
  std::int64_t value = 4, gradient = 4, optimizer = 8;
};
[[nodiscard]] constexpr StateBytes state_bytes(DType dtype) {
  if (dtype == DType::bf16) return {2, 4, 12};
  const std::int64_t size = size_of(dtype);
  return {size, size, 2 * size};
}
/// The type that gradients travel and are summed in.
[[nodiscard]] constexpr DType gradient_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

/// Refuses (exit 2) by name what the ranks cannot share out.
void check_request(const PlanRequest& request);

}  // namespace granule
