// The subject of a plan: a run, its number of ranks, and how its numbers are stored.
#pragma once
#include "apps/config/run_config.hpp"
#include "distributed/communicators/rehearsal_communicator.hpp"

namespace granule {

struct PlanRequest {
  RunConfig config;
  std::int64_t ranks = 1;
  std::int64_t threads = 1;           ///< of a rank; some scratch has one piece for each thread
  DType dtype = DType::f32;           ///< names the Precision
  Carrier carrier = Carrier::memory;  ///< memory for threads and NVLink, messages for MPI
  bool on_accelerator = false;        ///< its memory is not the host's, to which parallel.offload moves

  [[nodiscard]] Precision precision() const { return dtype; }
  [[nodiscard]] std::int64_t micro_batches() const {  ///< of a rank in a step
    return config.train.batch_size / config.train.micro_batch_size / ranks;
  }
  [[nodiscard]] std::int64_t tokens() const {  ///< of all ranks in a step
    return config.train.batch_size * config.data.seq_len;
  }
};

/// Throws a user error (exit code 2) that names what cannot be sharded over the ranks.
void check_request(const PlanRequest& request);

}  // namespace granule
