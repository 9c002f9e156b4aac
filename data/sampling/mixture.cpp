#include "data/sampling/mixture.hpp"

#include <cmath>
#include <numeric>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr double kUnits = 1 << 30;

}  // namespace

Mixture::Mixture(std::span<const double> weights) : until_(1, 0) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  GRANULE_CHECK(!weights.empty() && std::isfinite(sum), "a mixture of {} sources with weights of {}",
                weights.size(), sum);
  for (const double weight : weights) {
    GRANULE_CHECK(weight / sum >= kSmallestShare, "a mixture: weight {} of {}", weight, sum);
    until_.push_back(until_.back() + std::llround(weight / sum * kUnits));
  }
}

// Divide the whole units out first. Then both factors are below 2^31, and the product cannot overflow.
std::int64_t Mixture::left_of(std::int64_t count, std::int64_t begin, std::int64_t middle,
                              std::int64_t end) const {
  const auto units = [this](std::int64_t first, std::int64_t last) {
    return until_[static_cast<std::size_t>(last)] - until_[static_cast<std::size_t>(first)];
  };
  const std::int64_t left = units(begin, middle), both = units(begin, end);
  return count / both * left + (2 * (count % both) * left + both) / (2 * both);
}

Mixture::SourcePosition Mixture::place(std::int64_t index) const {
  GRANULE_CHECK(index >= 0, "a mixture at position {}", index);
  std::int64_t begin = 0, end = sources();
  while (end - begin > 1) {
    const std::int64_t middle = (begin + end) / 2, left = left_of(index, begin, middle, end);
    if (left_of(index + 1, begin, middle, end) > left) {
      index = left;
      end = middle;
    } else {
      index -= left;
      begin = middle;
    }
  }
  return {begin, index};
}

std::int64_t Mixture::count(std::int64_t source, std::int64_t end) const {
  GRANULE_CHECK(source >= 0 && source < sources() && end >= 0, "a mixture: source {} of {}, {} positions",
                source, sources(), end);
  std::int64_t first = 0, last = sources();
  while (last - first > 1) {
    const std::int64_t middle = (first + last) / 2, left = left_of(end, first, middle, last);
    if (source < middle) {
      end = left;
      last = middle;
    } else {
      end -= left;
      first = middle;
    }
  }
  return end;
}

}  // namespace granule
