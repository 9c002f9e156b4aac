#include "apps/planning/advice.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

namespace granule {
namespace {

/// What layouts need. Each of them is rehearsed at most once.
class Needs {
 public:
  /// The peak of a rank. Ranks that share memory keep nothing of others while they sum.
  std::int64_t peak(const PlanRequest& request, Routing routing) {
    if (request.carrier == Carrier::memory) return least(request, routing);
    const auto key = std::tuple(request.ranks, request.config.parallel.zero, form_of(request, routing));
    return once(peaks_, key, [&] { return rehearse(request, routing).memory.peak; });
  }
  /// The same for a rank that sums no gradients with others, which is no more and is known sooner.
  std::int64_t least(const PlanRequest& request, Routing routing) {
    return resident(request) + of_step(request, routing);
  }
  std::int64_t resident(const PlanRequest& request) {
    const auto& parallel = request.config.parallel;
    return once(resident_, std::tuple(request.ranks, parallel.zero, parallel.ep),
                [&] { return resident_memory(request).resident(); });
  }
  /// Activations and scratch together. Neither the ZeRO stage nor the number of ranks matters for them.
  std::int64_t of_step(const PlanRequest& request, Routing routing) {
    return once(steps_, form_of(request, routing), [&] {
      PlanRequest least = request;
      least.carrier = Carrier::memory;
      least.ranks = least.config.parallel.ep;
      least.config.parallel.zero = 0;
      least.config.train.batch_size = least.config.train.micro_batch_size * least.ranks;
      const RankMemory memory = rehearse(least, routing).memory;
      return memory.peak - memory.resident();
    });
  }

 private:
  using Form = std::tuple<std::int64_t, Recompute, std::int64_t, std::int64_t, Routing>;
  static Form form_of(const PlanRequest& request, Routing routing) {
    const RunConfig& config = request.config;
    return {config.train.micro_batch_size, config.train.recompute, config.parallel.ep,
            config.parallel.receive_limit, routing};
  }
  template <class Key, class Find>
  static std::int64_t once(std::map<Key, std::int64_t>& known, const Key& key, const Find& find) {
    const auto found = known.find(key);
    return found != known.end() ? found->second : known.emplace(key, find()).first->second;
  }

  std::map<std::tuple<std::int64_t, std::int64_t, Form>, std::int64_t> peaks_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::int64_t> resident_;
  std::map<Form, std::int64_t> steps_;
};

/// A receive limit with which the worst load fits. It is as large as an even load needs, or half of that, a
/// quarter, and so on.
std::optional<Change> limit_that_fits(const PlanRequest& request, Needs& needs, double most) {
  PlanRequest tried = request;
  std::int64_t& limit = tried.config.parallel.receive_limit;
  limit = request.config.train.micro_batch_size * request.config.data.seq_len *
          request.config.moe.num_experts_per_tok;
  for (; limit > 0; limit /= 2) {
    if (static_cast<double>(needs.least(tried, Routing::worst)) > most) continue;
    const std::int64_t peak = needs.peak(tried, Routing::worst);
    if (static_cast<double>(peak) <= most)
      return Change{{fmt::format("parallel.receive_limit={}", limit)}, peak};
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
    return static_cast<double>(needs_.of_step(least, Routing::even));
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
    // What is known soonest is asked first.
    if (!fits(needs_.resident(tried)) || !fits(needs_.least(tried, Routing::even)) ||
        !fits(needs_.peak(tried, Routing::even)))
      return;
    std::int64_t bytes = needs_.peak(tried, Routing::worst);
    if (!fits(bytes)) {  // if all tokens choose one rank's experts
      const auto limit = limit_that_fits(tried, needs_, memory_);
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

  [[nodiscard]] bool fits(std::int64_t bytes) const { return static_cast<double>(bytes) <= memory_; }

  const PlanRequest& request_;
  double memory_;
  Needs needs_;
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
  const bool fits = static_cast<double>(even.peak) <= memory;
  if (fits && static_cast<double>(worst.peak) <= memory) return {};
  if (fits) {
    Needs needs;
    return {Fit::unless_skewed, largest_category(worst), limit_that_fits(request, needs, memory)};
  }
  return {Fit::no, largest_category(even), Search(request, memory).run()};
}

}  // namespace granule
