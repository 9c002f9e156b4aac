#include "data/sampling/sampler.hpp"

#include <limits>
#include <numeric>
#include <utility>

#include "core/error.hpp"
#include "core/movement.hpp"
#include "core/random.hpp"

namespace granule {

std::string_view name_of(SampleOrder order) {
  switch (order) {
    case SampleOrder::sequential:
      return "sequential";
    case SampleOrder::shuffled:
      return "fisher-yates";
    case SampleOrder::keyed:
      return "feistel-1";
  }
  GRANULE_ASSERT(false, "an order of no name");
}

std::optional<SampleOrder> sample_order_of(std::string_view name) {
  for (const SampleOrder order : {SampleOrder::sequential, SampleOrder::shuffled, SampleOrder::keyed}) {
    if (name == name_of(order)) return order;
  }
  return std::nullopt;
}

std::vector<std::uint32_t> epoch_permutation(std::int64_t n, std::uint64_t seed, std::int64_t source,
                                             std::int64_t epoch) {
  GRANULE_CHECK(n > 0 && n <= std::numeric_limits<std::uint32_t>::max(), "a permutation of {} samples", n);
  const std::string of_source = source == 0 ? std::string() : fmt::format("/{}", source);
  const RandomStream random(seed, fmt::format("data{}/epoch/{}", of_source, epoch));
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0U);
  constexpr std::size_t kPiece = 1 << 16;
  for (std::size_t i = order.size() - 1; i > 0; --i) {
    std::swap(order[i], order[random.below(i + 1, i)]);
    if (i % kPiece == 0) note_movement();
  }
  return order;
}

Sampler::Sampler(std::int64_t samples, SampleOrder order, std::uint64_t seed, std::int64_t source)
    : samples_(samples), order_(order), seed_(seed), source_(source) {
  GRANULE_CHECK(samples > 0, "a sampler over {} samples", samples);
}

std::int64_t Sampler::operator()(std::int64_t index) {
  GRANULE_CHECK(index >= 0, "sample number {}", index);
  const std::int64_t position = index % samples_;
  if (order_ == SampleOrder::sequential) return position;
  if (const std::int64_t epoch = index / samples_; epoch != epoch_) {
    if (order_ == SampleOrder::keyed) keyed_.emplace(samples_, seed_, source_, epoch);
    if (order_ == SampleOrder::shuffled) permutation_ = epoch_permutation(samples_, seed_, source_, epoch);
    epoch_ = epoch;
  }
  if (order_ == SampleOrder::keyed) return (*keyed_)(position);
  return permutation_[static_cast<std::size_t>(position)];
}

MixSampler::MixSampler(Mixture mixture, std::span<const std::int64_t> samples, SampleOrder order,
                       std::uint64_t seed)
    : mixture_(std::move(mixture)) {
  GRANULE_CHECK(std::ssize(samples) == mixture_.sources(), "a sampler over {} sources, {} are mixed",
                samples.size(), mixture_.sources());
  for (const std::int64_t n : samples) sources_.emplace_back(n, order, seed, std::ssize(sources_));
}

SampleId MixSampler::operator()(std::int64_t index) {
  const Mixture::SourcePosition place = mixture_.place(index);
  return {place.source, sources_[static_cast<std::size_t>(place.source)](place.index)};
}

}  // namespace granule
