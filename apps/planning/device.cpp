#include "apps/planning/device.hpp"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "core/arena.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/plugin.hpp"

namespace granule {
namespace {

struct Accelerator {
  std::string_view name, driver_name;
  double tflops_bf16, tflops_f32, tflops_f64;
  double gigabytes, memory_gbps, node_gbps, network_gbps, host_gbps;
};

// The figures come from NVIDIA's data sheets of the SXM cards (H100; H200; A100 40 GB and 80 GB). Rates are
// dense: bf16 on tensor cores, f32 on CUDA cores, f64 on tensor cores. Within a node, the rate is one
// direction of NVLink, which is half of the advertised 900 and 600 GB/s. Between nodes, it is the adapter for
// each card in a DGX H100 or H200 (400 Gb/s) and a DGX A100 (200 Gb/s). Memory is the size in the name, in
// 10⁹ bytes. What a card has above that is left for its context and libraries. To the host it is one
// direction of PCIe with 16 lanes: half of the advertised 128 GB/s (generation 5) and 64 GB/s (generation 4).
constexpr std::array kAccelerators{
    Accelerator{"h100", "NVIDIA H100 80GB HBM3", 989.4, 66.9, 66.9, 80.0, 3350.0, 450.0, 50.0, 64.0},
    Accelerator{"h200", "NVIDIA H200", 989.4, 66.9, 66.9, 141.0, 4800.0, 450.0, 50.0, 64.0},
    Accelerator{"a100-40g", "NVIDIA A100-SXM4-40GB", 312.0, 19.5, 19.5, 40.0, 1555.0, 300.0, 25.0, 32.0},
    Accelerator{"a100-80g", "NVIDIA A100-SXM4-80GB", 312.0, 19.5, 19.5, 80.0, 2039.0, 300.0, 25.0, 32.0},
};
constexpr std::int64_t kCardsOfNode = 8;
/// The rate of OpenMPI between two processes of a host, in bytes a second.
constexpr double kHostRate = 2e9;

double tflops_of(const Accelerator& card, DType dtype) {
  if (dtype == DType::bf16) return card.tflops_bf16;
  return dtype == DType::f64 ? card.tflops_f64 : card.tflops_f32;
}

DeviceFigures this_machine(DType dtype, std::int64_t ranks) {
  ThreadPool pool(available_cores());
  const auto sharers = static_cast<double>(ranks);
  const double stream = stream_gbps(pool) * 1e9 / sharers;
  return {.name = "cpu",
          .flops = fma_ceiling_gflops(pool, dtype) * 1e9 / sharers,
          .memory = static_cast<double>(physical_memory()) / sharers,
          .memory_rate = stream,
          .node_rate = kHostRate,
          .network_rate = kHostRate,
          .host_rate = stream,
          .node_size = ranks};
}

}  // namespace

const std::vector<std::string>& device_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Accelerator& card : kAccelerators) all.emplace_back(card.name);
    all.emplace_back("cpu");
    return all;
  }();
  return names;
}

DeviceFigures device_figures(std::string_view name, DType dtype, std::int64_t ranks) {
  if (name == "cpu") return this_machine(dtype, ranks);
  const auto* const card = std::find_if(kAccelerators.begin(), kAccelerators.end(),
                                        [&](const Accelerator& a) { return a.name == name; });
  if (card == kAccelerators.end()) {
    user_error(fmt::format("there are no figures of a device '{}'", name), "--device",
               fmt::format("choose one of {}, or the nearest and give its figures by hand",
                           fmt::join(device_names(), ", ")));
  }
  return {.name = std::string(name),
          .flops = tflops_of(*card, dtype) * 1e12,
          .memory = card->gigabytes * 1e9,
          .memory_rate = card->memory_gbps * 1e9,
          .node_rate = card->node_gbps * 1e9,
          .network_rate = card->network_gbps * 1e9,
          .host_rate = card->host_gbps * 1e9,
          .node_size = kCardsOfNode};
}

std::optional<double> peak_of_gpu(DType dtype) {
  const CudaStatus status = load_cuda_plugin();
  const auto* const card =
      std::find_if(kAccelerators.begin(), kAccelerators.end(),
                   [&](const Accelerator& a) { return a.driver_name == status.device_name; });
  if (card == kAccelerators.end()) return std::nullopt;
  return tflops_of(*card, dtype) * 1e12;
}

}  // namespace granule
