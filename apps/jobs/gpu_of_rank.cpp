#include "apps/jobs/gpu_of_rank.hpp"

#include "core/plugin.hpp"
#include "distributed/agreement.hpp"

namespace granule {

int gpu_of_rank(Communicator& ranks, const RunConfig& config, int place_on_host) {
  if (config.train.device != DeviceType::cuda) return 0;
  agree(ranks, [&] {
    const int gpus = load_cuda_plugin().devices;
    if (place_on_host < gpus) return;
    user_error(fmt::format("this is rank {} of its host (from 0), which has {} GPU{}", place_on_host, gpus,
                           gpus == 1 ? "" : "s"),
               "train.device = \"cuda\"",
               "start at most as many ranks on a host as it has GPUs, and let each of them see all of them");
  });
  return place_on_host;
}

}  // namespace granule
