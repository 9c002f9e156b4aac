#include "apps/generation/token_sampler.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace granule {

TokenSampler::TokenSampler(const SamplingOptions& options)
    : options_(options), random_(options.seed, "generate") {
  GRANULE_CHECK(
      options.temperature >= 0.0 && options.top_p > 0.0 && options.top_p <= 1.0 && options.top_k >= 0,
      "sampling: temperature {}, top_p {}, top_k {}", options.temperature, options.top_p, options.top_k);
}

double TokenSampler::shortlist(std::span<const double> logits) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates_.push_back({logits[i], static_cast<std::int32_t>(i)});
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  if (options_.top_k > 0 && options_.top_k < std::ssize(candidates_))
    candidates_.resize(static_cast<std::size_t>(options_.top_k));
  const double best = candidates_.front().logit;
  double total = 0.0;
  for (Candidate& candidate : candidates_) {
    candidate.logit = std::exp((candidate.logit - best) / options_.temperature);
    total += candidate.logit;
  }
  double kept = 0.0;
  std::size_t count = 0;
  while (count < candidates_.size() && (count == 0 || kept < options_.top_p * total))
    kept += candidates_[count++].logit;
  candidates_.resize(count);
  return kept;
}

std::int32_t TokenSampler::choose(std::span<const double> logits) {
  GRANULE_CHECK(!logits.empty(), "sampling: no logits");
  const auto best = std::max_element(logits.begin(), logits.end());
  const std::uint64_t index = choices_++;
  if (options_.temperature == 0.0) return static_cast<std::int32_t>(best - logits.begin());
  double left = random_.uniform(index) * shortlist(logits);
  for (const Candidate& candidate : candidates_) {
    if (left < candidate.logit) return candidate.id;
    left -= candidate.logit;
  }
  return candidates_.back().id;  // only rounding leads here
}

}  // namespace granule
