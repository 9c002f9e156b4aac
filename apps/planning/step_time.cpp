#include "apps/planning/step_time.hpp"

#include <algorithm>

#include "optim/adamw.hpp"

namespace granule {
namespace {

/// The multiply-adds of one token in forward. `attention` is the part of all blocks before their second norm,
/// `feed_forward` is the part after it.
struct TokenWork {
  std::int64_t attention = 0, feed_forward = 0, head = 0;
};

TokenWork token_work(const RunConfig& config, std::int64_t seq_len) {
  const ModelConfig& m = config.model;
  const MoeConfig& e = config.moe;
  const std::int64_t h = m.hidden_size;
  const std::int64_t kv = m.kv_width();
  TokenWork work{.head = m.vocab_size * h};
  for (std::int64_t layer = 0; layer < m.num_hidden_layers; ++layer) {
    work.attention += 2 * h * h + 2 * h * kv + h * seq_len;  // Q Kᵀ and P V, half the sequence each
    work.feed_forward += e.is_moe_layer(layer) ? 3 * h * e.moe_intermediate_size *
                                                         (e.num_experts_per_tok + e.n_shared_experts) +
                                                     h * e.n_routed_experts
                                               : 3 * h * m.intermediate_size;
  }
  return work;
}

/// AdamW reads the gradient. It reads and writes the values and what the optimizer keeps. What is offloaded
/// goes over the bus in both directions at once, while the rest goes to the device's memory.
double optimizer_seconds(const Precision& precision, const RankMemory& memory, const DeviceFigures& device,
                         const Efficiencies& reached) {
  const std::int64_t state = AdamW::bytes_per_element(precision);
  const std::int64_t updated = (memory.optimizer + memory.offloaded) / state;  // elements
  const auto values =
      static_cast<double>(updated * (size_of(precision.gradients) + 2 * size_of(precision.values)));
  const double on_device = values + 2.0 * static_cast<double>(memory.optimizer);
  const double seconds = on_device / (device.memory_rate * reached.memory);
  if (memory.offloaded == 0) return seconds;
  return std::max(seconds, static_cast<double>(memory.offloaded) / (device.host_rate * reached.memory));
}

}  // namespace

StepOperations step_operations(const RunConfig& config) {
  const TokenWork work = token_work(config, config.data.seq_len);
  const double tokens =
      static_cast<double>(config.train.batch_size) * static_cast<double>(config.data.seq_len);
  std::int64_t again = 0;
  if (config.train.recompute != Recompute::none) again += work.feed_forward;
  if (config.train.recompute == Recompute::full) again += work.attention;
  return {.needed = 6.0 * tokens * static_cast<double>(work.attention + work.feed_forward + work.head),
          .recomputed = 2.0 * tokens * static_cast<double>(again)};
}

double prompt_operations(const RunConfig& config, std::int64_t tokens) {
  const TokenWork work = token_work(config, tokens);
  return 2.0 * (static_cast<double>(tokens) * static_cast<double>(work.attention + work.feed_forward) +
                static_cast<double>(work.head));
}

double group_rate(const PlanRequest& request, std::string_view group, const DeviceFigures& device) {
  const std::int64_t ep = request.config.parallel.ep;
  const bool one_node = request.ranks <= device.node_size ||
                        (group == "expert" && ep <= device.node_size && device.node_size % ep == 0);
  return one_node ? device.node_rate : device.network_rate;
}

StepTime predict_step(const PlanRequest& request, const Rehearsal& rehearsal, const DeviceFigures& device,
                      const Efficiencies& reached) {
  const StepOperations operations = step_operations(request.config);
  const double rate = device.flops * reached.flops * static_cast<double>(request.ranks);
  StepTime time{.compute = operations.needed / rate, .recompute = operations.recomputed / rate};
  time.optimizer = optimizer_seconds(request.precision(), rehearsal.memory, device, reached);
  for (const TrafficRow& row : rehearsal.traffic) {
    const double seconds =
        static_cast<double>(row.bytes) / (group_rate(request, row.group, device) * reached.network);
    double& of = row.group == "expert"      ? time.experts
                 : row.phase == "gradients" ? time.gradients
                 : row.phase == "values"    ? time.values
                                            : time.reports;
    of += seconds;
  }
  time.hidden = std::min(reached.overlap * time.communication(), time.compute + time.recompute);
  return time;
}

}  // namespace granule
