// The subject of a plan: a run, its number of ranks, and how its numbers are stored.
#pragma once
#include "apps/config/run_config.hpp"
#include "moe/sketch/model.hpp"

namespace granule {

struct PlanRequest {
  /// How ranks communicate. They either access each other's memory (threads, NVLink), or send messages.
  /// Messages are kept in pieces before they are summed.
  enum class Carrier : std::uint8_t { memory, mpi };

  RunConfig config;
  std::int64_t ranks = 1;
  std::int64_t threads = 1;  ///< of a rank; some scratch has one piece for each thread
  DType dtype = DType::f32;  ///< bf16 means mixed precision, see StateBytes
  Carrier carrier = Carrier::memory;

  [[nodiscard]] std::int64_t micro_batches() const {  ///< of a rank in a step
    return config.train.batch_size / config.train.micro_batch_size / ranks;
  }
  [[nodiscard]] std::int64_t tokens() const {  ///< of all ranks in a step
    return config.train.batch_size * config.data.seq_len;
  }
};

/// How a parameter is stored. In f32 and f64 everything has the same type, and there are two moments. In
/// mixed precision, computing uses values in bf16, and their gradients are summed in f32. Masters and the two
/// moments are float32.
struct StateBytes {
  std::int64_t value = 4, gradient = 4, optimizer = 8;
};
[[nodiscard]] constexpr StateBytes state_bytes(DType dtype) {
  if (dtype == DType::bf16) return {2, 4, 12};
  const std::int64_t size = size_of(dtype);
  return {size, size, 2 * size};
}
/// The type in which gradients are sent and summed.
[[nodiscard]] constexpr DType gradient_dtype(DType dtype) {
  return dtype == DType::bf16 ? DType::f32 : dtype;
}

/// Throws a user error (exit code 2) that names what cannot be sharded over the ranks.
void check_request(const PlanRequest& request);

}  // namespace granule
