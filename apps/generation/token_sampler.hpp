// Chooses the next token from a model's logits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/random.hpp"

namespace granule {

struct SamplingOptions {
  double temperature = 1.0;  ///< divides the logits; 0 means always the likeliest token
  std::int64_t top_k = 0;    ///< how many of the likeliest tokens are left; 0 means all
  double top_p = 1.0;  ///< of these, only the likeliest that together have this probability; 1 means all
  std::uint64_t seed = 0;
};

/// Computes in float64. Choice number i is a pure function of the seed, i and the logits. If logits are
/// equal, the lower id counts as likelier.
class TokenSampler {
 public:
  explicit TokenSampler(const SamplingOptions& options);
  [[nodiscard]] std::int32_t choose(std::span<const double> logits);

 private:
  struct Candidate {
    double logit;  ///< later its probability, up to a factor
    std::int32_t id;
  };
  /// Keeps the candidates that may be chosen, likeliest first, and returns their total weight.
  double shortlist(std::span<const double> logits);

  SamplingOptions options_;
  RandomStream random_;
  std::uint64_t choices_ = 0;
  std::vector<Candidate> candidates_;
};

}  // namespace granule
