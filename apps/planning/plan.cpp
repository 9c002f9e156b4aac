#include "apps/planning/plan.hpp"

#include <nlohmann/json.hpp>

#include "moe/model/counts.hpp"

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kPaperSequence = 4096;

double giga(std::int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

double step_flops(const PlanRequest& request) {
  return training_flops(request.config.model, request.config.moe, request.tokens(),
                        request.config.data.seq_len);
}

double utilisation(const Plan& plan) {
  return model_flops_utilisation(step_flops(plan.request), plan.time.total(),
                                 plan.device.flops * static_cast<double>(plan.request.ranks));
}

/// The bytes with every choice of train.recompute.
Json recompute_choices(const Plan& plan) {
  Json choices;
  for (const auto& [name, recompute] : kRecomputeNames) {
    PlanRequest request = plan.request;
    request.config.train.recompute = recompute;
    const bool planned = recompute == plan.request.config.train.recompute;
    const RankMemory memory = planned ? plan.even : rehearse(request, Routing::even).memory;
    choices[std::string(name)] = {
        {"activations", memory.activations}, {"scratch", memory.scratch}, {"total", memory.peak}};
  }
  return choices;
}

Json device_json(const Plan& plan) {
  const DeviceFigures& device = plan.device;
  return {{"name", device.name},
          {"tflops", device.flops / 1e12},
          {"memory_gb", device.memory / 1e9},
          {"memory_gbps", device.memory_rate / 1e9},
          {"node_gbps", device.node_rate / 1e9},
          {"network_gbps", device.network_rate / 1e9},
          {"host_gbps", device.host_rate / 1e9},
          {"ranks_per_node", device.node_size},
          {"flops_efficiency", plan.reached.flops},
          {"memory_efficiency", plan.reached.memory},
          {"network_efficiency", plan.reached.network},
          {"overlap", plan.reached.overlap}};
}

Json traffic_json(const Plan& plan) {
  Json rows = Json::array();
  for (const TrafficRow& row : plan.traffic) {
    rows.push_back({{"group", row.group},
                    {"collective", name_of(row.kind)},
                    {"phase", row.phase},
                    {"calls", row.calls},
                    {"bytes", row.bytes}});
  }
  return rows;
}

Json time_json(const StepTime& time) {
  return {{"total", time.total()},       {"compute", time.compute}, {"recompute", time.recompute},
          {"optimizer", time.optimizer}, {"experts", time.experts}, {"gradients", time.gradients},
          {"values", time.values},       {"reports", time.reports}, {"hidden", time.hidden}};
}

std::string_view name_of(Fit fit) {
  static constexpr std::array<std::string_view, 3> kNames{"yes", "unless_skewed", "no"};
  return kNames[static_cast<std::size_t>(fit)];
}

Json advice_json(const Advice& advice) {
  Json json{
      {"fits", name_of(advice.fit)}, {"blame", nullptr}, {"change", nullptr}, {"bytes_changed", nullptr}};
  if (advice.fit != Fit::yes) json["blame"] = advice.blame;
  if (advice.change) {
    json["change"] = advice.change->keys;
    json["bytes_changed"] = advice.change->bytes;
  }
  return json;
}

/// Writes 16375728128 as 16,375,728,128.
std::string with_commas(std::int64_t value) {
  if (value < 1000) return fmt::format("{}", value);
  return fmt::format("{},{:03}", with_commas(value / 1000), value % 1000);
}

std::string head_text(const Plan& plan) {
  const RunConfig& config = plan.request.config;
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  return fmt::format(
      "{} parameters, {} of them activated for a token\n"
      "{:.1f} TFLOP for {} tokens, {:.4g} TFLOP a step of {:.4g} M tokens, in the paper's counting\n"
      "{} rank{}: experts over {}, ZeRO {}; {} micro-batches of {} × {} tokens a rank, recompute {}; {}\n",
      with_commas(counts.total()), with_commas(counts.activated()),
      training_flops(config.model, config.moe, kPaperSequence, kPaperSequence) / 1e12, kPaperSequence,
      step_flops(plan.request) / 1e12, static_cast<double>(plan.request.tokens()) / 1e6, plan.request.ranks,
      plan.request.ranks == 1 ? "" : "s", config.parallel.ep, config.parallel.zero,
      plan.request.micro_batches(), config.train.micro_batch_size, config.data.seq_len,
      granule::name_of(config.train.recompute), granule::name_of(plan.request.dtype));
}

std::string memory_text(const Plan& plan) {
  std::string text = fmt::format("{:<16} {:>12} {:>12}\n", "GB of a rank", "even", "worst");
  const auto row = [&](std::string_view name, std::int64_t even, std::int64_t worst) {
    text += fmt::format("  {:<14} {:>12.3f} {:>12.3f}\n", name, giga(even), giga(worst));
  };
  row("weights", plan.even.weights, plan.worst.weights);
  row("gradients", plan.even.gradients, plan.worst.gradients);
  row("optimizer", plan.even.optimizer, plan.worst.optimizer);
  row("communication", plan.even.communication, plan.worst.communication);
  row("statistics", plan.even.statistics, plan.worst.statistics);
  if (plan.even.staging > 0) row("staging", plan.even.staging, plan.worst.staging);
  row("activations", plan.even.activations, plan.worst.activations);
  row("scratch", plan.even.scratch, plan.worst.scratch);
  row("at the peak", plan.even.peak, plan.worst.peak);
  if (plan.even.offloaded > 0) row("on the host", plan.even.offloaded, plan.worst.offloaded);
  return text;
}

bool is_report(const TrafficRow& row) {
  return row.group != "expert" && row.phase != "gradients" && row.phase != "values";
}

std::string traffic_text(const Plan& plan) {
  if (plan.traffic.empty()) return "";
  std::string text = fmt::format("{:<48} {:>8} {:>12}\n", "sent by a rank in a step", "calls", "GB");
  const auto line = [&](const TrafficRow& row, std::string_view phase) {
    text += fmt::format("  {:<7} {:<15} {:<22} {:>8} {:>12.3f}\n", row.group, granule::name_of(row.kind),
                        phase, row.calls, giga(row.bytes));
  };
  TrafficRow reports{"world", CollectiveKind::all_reduce, "", 0, 0};
  for (const TrafficRow& row : plan.traffic) {
    if (!is_report(row)) {
      line(row, row.phase);
      continue;
    }
    reports.calls += row.calls;
    reports.bytes += row.bytes;
  }
  line(reports, "losses, counts, norm");
  return text;
}

std::string time_text(const Plan& plan) {
  const StepTime& t = plan.time;
  return fmt::format(
      "a step on {}: {:.3g} s = compute {:.3g} + recomputed {:.3g} + optimizer {:.3g} + experts {:.3g} + "
      "gradients "
      "{:.3g} + values {:.3g} + reports {:.3g} − hidden {:.3g}\n"
      "{:.4g} tokens/s, {:.1f} % of the peak of {:.4g} TFLOP/s a rank; assumed efficiencies: operations "
      "{}, memory {}, network {}\n",
      plan.device.name, t.total(), t.compute, t.recompute, t.optimizer, t.experts, t.gradients, t.values,
      t.reports, t.hidden, static_cast<double>(plan.request.tokens()) / t.total(), 100.0 * utilisation(plan),
      plan.device.flops / 1e12, plan.reached.flops, plan.reached.memory, plan.reached.network);
}

std::string advice_text(const Plan& plan) {
  const Advice& advice = plan.advice;
  const double memory = plan.device.memory / 1e9;
  if (advice.fit == Fit::yes)
    return fmt::format("fits: {:.1f} of {:.1f} GB\n", giga(plan.worst.peak), memory);
  std::string text =
      advice.fit == Fit::no
          ? fmt::format("does not fit: {:.1f} of {:.1f} GB, and the largest category is {}\n",
                        giga(plan.even.peak), memory, advice.blame)
          : fmt::format(
                "fits while tokens spread evenly ({:.1f} of {:.1f} GB), but not when all tokens choose the "
                "experts of one rank ({:.1f} GB)\n",
                giga(plan.even.peak), memory, giga(plan.worst.peak));
  if (!advice.change) return text + "none of the changes that were tried would fit\n";
  return text + fmt::format("would fit in {:.1f} GB with: {}\n", giga(advice.change->bytes),
                            fmt::join(advice.change->keys, " "));
}

}  // namespace

Plan make_plan(const PlanRequest& request, const DeviceFigures& device, const Efficiencies& reached) {
  check_request(request);
  Plan plan{.request = request, .device = device, .reached = reached};
  Rehearsal even = rehearse(request, Routing::even);
  plan.even = even.memory;
  plan.worst = rehearse(request, Routing::worst).memory;
  plan.time = predict_step(request, even, device, reached);
  plan.traffic = std::move(even.traffic);
  plan.advice = advise(request, plan.even, plan.worst, device.memory);
  return plan;
}

Json to_json(const RankMemory& memory) {
  return {{"weights", memory.weights},
          {"gradients", memory.gradients},
          {"optimizer", memory.optimizer},
          {"communication", memory.communication},
          {"statistics", memory.statistics},
          {"staging", memory.staging},
          {"activations", memory.activations},
          {"scratch", memory.scratch},
          {"total", memory.peak},
          {"offloaded", memory.offloaded}};
}

Json to_json(const Plan& plan) {
  const RunConfig& config = plan.request.config;
  const ParameterCounts counts = count_parameters(config.model, config.moe);
  std::int64_t sent = 0;
  for (const TrafficRow& row : plan.traffic) sent += row.bytes;
  return {{"ranks", plan.request.ranks},
          {"ep", config.parallel.ep},
          {"zero", config.parallel.zero},
          {"receive_limit", config.parallel.receive_limit},
          {"micro_batches", plan.request.micro_batches()},
          {"dtype", granule::name_of(plan.request.dtype)},
          {"parameters", {{"total", counts.total()}, {"activated", counts.activated()}}},
          {"tokens_per_step", plan.request.tokens()},
          {"flops_per_step", step_flops(plan.request)},
          {"flops_per_4096_tokens", training_flops(config.model, config.moe, kPaperSequence, kPaperSequence)},
          {"bytes", to_json(plan.even)},
          {"bytes_worst", to_json(plan.worst)},
          {"bytes_by_recompute", recompute_choices(plan)},
          {"traffic", traffic_json(plan)},
          {"traffic_bytes", sent},
          {"device", device_json(plan)},
          {"step_seconds", time_json(plan.time)},
          {"tokens_per_second", static_cast<double>(plan.request.tokens()) / plan.time.total()},
          {"utilisation", utilisation(plan)},
          {"memory", advice_json(plan.advice)}};
}

std::string to_text(const Plan& plan) {
  return head_text(plan) + memory_text(plan) + traffic_text(plan) + time_text(plan) + advice_text(plan);
}

}  // namespace granule
