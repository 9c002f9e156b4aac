// Everything that a training job reads before it begins.
#pragma once
#include <optional>

#include "apps/inputs/run_data.hpp"
#include "apps/runs/run_start.hpp"
#include "distributed/hosts.hpp"

namespace granule {

/// What a run is made from. Every rank reads it for itself.
struct RunInput {
  RunStart start;
  RunConfig config;
  std::optional<RunData> data;
};

/// Every rank reads for itself, and then all make sure that they have read the same. Throws a user error on
/// all ranks for what is wrong with it. This is a collective.
[[nodiscard]] RunInput read_together(Communicator& ranks, const Hosts& hosts,
                                     const TrainArguments& arguments);

}  // namespace granule
