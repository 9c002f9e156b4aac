#include "apps/planning/advice.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace granule {
namespace {

using Load = ExpertLoad;

/// Computes the memory of a step once for each form of it. Neither the ZeRO stage nor the number of ranks
/// matters for it.
class StepMemory {
 public:
  void add_to(RankMemory& memory, const PlanRequest& request, Load load) {
    const RunConfig& config = request.config;
    const std::array key{config.train.micro_batch_size, static_cast<std::int64_t>(config.train.recompute),
                         config.parallel.ep, config.parallel.receive_limit, static_cast<std::int64_t>(load)};
    auto known = known_.find(key);
    if (known == known_.end()) {
      known = known_.emplace(key, RankMemory{}).first;
      add_step_memory(known->second, request, load);
    }
    memory.activations = known->second.activations;
    memory.scratch = known->second.scratch;
    memory.step = known->second.step;
  }

 private:
  std::map<std::array<std::int64_t, 5>, RankMemory> known_;
};

/// A receive limit with which the worst load fits. It is as large as an even load needs, or half of that, a
/// quarter, and so on.
std::optional<Change> limit_that_fits(const PlanRequest& request, StepMemory& steps, RankMemory memory,
                                      double most) {
  PlanRequest tried = request;
  std::int64_t& limit = tried.config.parallel.receive_limit;
  limit = request.config.train.micro_batch_size * request.config.data.seq_len *
          request.config.moe.num_experts_per_tok;
  for (; limit > 0; limit /= 2) {
    steps.add_to(memory, tried, Load::worst);
    if (static_cast<double>(memory.total()) <= most)
      return Change{{fmt::format("parallel.receive_limit={}", limit)}, memory.total()};
  }
  return std::nullopt;
}

/// Tries requests that differ from a given one in keys that cost memory, with the fewest changes first.
class Search {
 public:
  Search(const PlanRequest& request, double memory) : request_(request), memory_(memory) {}

  std::optional<Change> run() {
    if (least_step() > memory_) return std::nullopt;
    for (std::int64_t ranks = request_.ranks; ranks <= kMostRanks; ranks *= 2) {
      if (auto change = at(ranks)) return change;
    }
    return std::nullopt;
  }

 private:
  /// The least memory of a step, which more ranks do not reduce: one sequence, recomputed.
  [[nodiscard]] double least_step() {
    PlanRequest least = request_;
    least.config.train.recompute = Recompute::full;
    least.config.train.micro_batch_size = 1;
    RankMemory memory;
    steps_.add_to(memory, least, Load::uniform);
    return static_cast<double>(memory.step);
  }
  static constexpr std::int64_t kMostRanks = 1 << 14;

  /// The best change of those that fit. It changes the fewest keys. Of several, the order of the loops takes
  /// the one that costs the least speed.
  std::optional<Change> at(std::int64_t ranks) {
    std::optional<Change> best;
    for (std::int64_t zero = request_.config.parallel.zero; zero <= 3; ++zero) {
      for (const std::int64_t ep : expert_ranks(ranks)) {
        for (auto recompute = request_.config.train.recompute; recompute <= Recompute::full;
             recompute = static_cast<Recompute>(static_cast<int>(recompute) + 1)) {
          for (const std::int64_t micro : micro_batches(ranks))
            consider(ranks, zero, ep, recompute, micro, best);
        }
      }
    }
    return best;
  }

  void consider(std::int64_t ranks, std::int64_t zero, std::int64_t ep, Recompute recompute,
                std::int64_t micro, std::optional<Change>& best) {
    PlanRequest tried = request_;
    tried.ranks = ranks;
    tried.config.parallel.zero = zero;
    tried.config.parallel.ep = ep;
    tried.config.train.recompute = recompute;
    tried.config.train.micro_batch_size = micro;
    std::vector<std::string> keys = changes(tried);
    if (best && best->keys.size() <= keys.size()) return;
    RankMemory memory = resident(tried);
    if (static_cast<double>(memory.resident()) > memory_) return;
    steps_.add_to(memory, tried, Load::uniform);
    if (static_cast<double>(memory.total()) > memory_) return;
    steps_.add_to(memory, tried, Load::worst);
    std::int64_t bytes = memory.total();
    if (static_cast<double>(bytes) > memory_) {  // if all tokens choose one rank's experts
      const auto limit = limit_that_fits(tried, steps_, memory, memory_);
      if (!limit) return;
      keys.push_back(limit->keys[0]);
      bytes = limit->bytes;
    }
    if (!best || keys.size() < best->keys.size()) best = Change{std::move(keys), bytes};
  }

  [[nodiscard]] std::vector<std::string> changes(const PlanRequest& tried) const {
    const RunConfig &was = request_.config, &is = tried.config;
    std::vector<std::string> keys;
    if (tried.ranks != request_.ranks) keys.push_back(fmt::format("--ranks {}", tried.ranks));
    if (is.parallel.zero != was.parallel.zero)
      keys.push_back(fmt::format("parallel.zero={}", is.parallel.zero));
    if (is.parallel.ep != was.parallel.ep) keys.push_back(fmt::format("parallel.ep={}", is.parallel.ep));
    if (is.train.recompute != was.train.recompute)
      keys.push_back(fmt::format("train.recompute={}", granule::name_of(is.train.recompute)));
    if (is.train.micro_batch_size != was.train.micro_batch_size)
      keys.push_back(fmt::format("train.micro_batch_size={}", is.train.micro_batch_size));
    return keys;
  }

  /// Values of ep in increasing order. None is smaller than that of the request.
  [[nodiscard]] std::vector<std::int64_t> expert_ranks(std::int64_t ranks) const {
    std::vector<std::int64_t> sizes;
    const std::int64_t experts = request_.config.moe.n_routed_experts;
    for (std::int64_t ep = request_.config.parallel.ep; ep <= std::max<std::int64_t>(experts, 1); ++ep) {
      if (ranks % ep == 0 && (experts % ep == 0)) sizes.push_back(ep);
    }
    return sizes;
  }

  /// Micro-batches that divide the batch evenly. They are the request's own and smaller ones.
  [[nodiscard]] std::vector<std::int64_t> micro_batches(std::int64_t ranks) const {
    std::vector<std::int64_t> sizes;
    RunConfig::Train tried = request_.config.train;
    for (; tried.micro_batch_size >= 1; --tried.micro_batch_size) {
      if (tried.divides_over(ranks)) sizes.push_back(tried.micro_batch_size);
    }
    return sizes;
  }

  RankMemory resident(const PlanRequest& tried) {
    const std::array key{tried.ranks, tried.config.parallel.zero, tried.config.parallel.ep};
    const auto known = resident_.find(key);
    if (known != resident_.end()) return known->second;
    return resident_.emplace(key, resident_memory(tried)).first->second;
  }

  const PlanRequest& request_;
  double memory_;
  std::map<std::array<std::int64_t, 3>, RankMemory> resident_;
  StepMemory steps_;
};

std::string largest_category(const RankMemory& memory) {
  const std::array rows{
      std::pair{"weights", memory.weights},         std::pair{"gradients", memory.gradients},
      std::pair{"optimizer", memory.optimizer},     std::pair{"communication", memory.communication},
      std::pair{"statistics", memory.statistics},   std::pair{"staging", memory.staging},
      std::pair{"activations", memory.activations}, std::pair{"scratch", memory.scratch}};
  return std::max_element(rows.begin(), rows.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace

Advice advise(const PlanRequest& request, const RankMemory& even, const RankMemory& worst, double memory) {
  const bool fits = static_cast<double>(even.total()) <= memory;
  if (fits && static_cast<double>(worst.total()) <= memory) return {};
  if (fits) {
    StepMemory steps;
    return {Fit::unless_skewed, largest_category(worst), limit_that_fits(request, steps, worst, memory)};
  }
  return {Fit::no, largest_category(even), Search(request, memory).run()};
}

}  // namespace granule
