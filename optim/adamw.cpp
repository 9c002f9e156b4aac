#include "optim/adamw.hpp"

#include <algorithm>
#include <cmath>

namespace granule {
namespace {

void adamw_cpu(const AdamWArgs& args) {
  constexpr std::int64_t kGrain = 1 << 16;
  bf16* const rounded = args.rounded.defined() ? args.rounded.data<bf16>() : nullptr;
  dispatch_float(args.w.dtype(), [&]<class T>() {
    T *const w = args.w.data<T>(), *const m = args.m.data<T>(), *const v = args.v.data<T>();
    const T* const g = args.g.data<const T>();
    for (const DecayRange& range : args.ranges) {
      AdamWStep step = args.step;
      if (range.decay == Decay::no) step.keep = 1.0;
      parallel_chunks(args.w.context().pool(), range.end - range.begin, kGrain,
                      [&](std::int64_t begin, std::int64_t end) {
                        const std::int64_t i = range.begin + begin, n = end - begin;
                        if constexpr (std::is_same_v<T, float>) {
                          if (rounded != nullptr)
                            return adamw_update(w + i, m + i, v + i, g + i, rounded + i, n, step);
                        }
                        adamw_update(w + i, m + i, v + i, g + i, n, step);
                      });
    }
  });
}

}  // namespace

constinit KernelSlot<AdamWArgs> adamw_kernel{"adamw", adamw_cpu};

AdamW::AdamW(Context& context, const AdamWConfig& config, Precision precision, std::int64_t elements,
             std::vector<DecayRange> ranges, Place place)
    : config_(config),
      ranges_(std::move(ranges)),
      m_(Tensor::zeros(context, {elements}, precision.masters, MemoryCategory::optimizer, place)),
      v_(Tensor::zeros(context, {elements}, precision.masters, MemoryCategory::optimizer, place)) {
  if (precision.keeps_masters())
    masters_ = Tensor::zeros(context, {elements}, precision.masters, MemoryCategory::optimizer, place);
  std::int64_t covered = 0;
  for (const DecayRange& range : ranges_) {
    GRANULE_CHECK(range.begin == covered && range.end >= range.begin,
                  "adamw: a range begins at {}, not at {}", range.begin, covered);
    covered = range.end;
  }
  GRANULE_CHECK(covered == elements, "adamw: ranges cover {} of {} elements", covered, elements);
}

void AdamW::step(const Tensor& values, const Tensor& gradients, double lr, double gradient_scale) {
  const AdamWPiece piece{values, gradients};
  step(std::span(&piece, 1), lr, gradient_scale);
}

std::vector<DecayRange> AdamW::ranges_of(std::int64_t begin, std::int64_t size) const {
  std::vector<DecayRange> clipped;
  auto range = std::partition_point(ranges_.begin(), ranges_.end(),
                                    [&](const DecayRange& r) { return r.end <= begin; });
  for (; range != ranges_.end() && range->begin < begin + size; ++range) {
    clipped.push_back(
        {std::max(range->begin - begin, std::int64_t{0}), std::min(range->end - begin, size), range->decay});
  }
  return clipped;
}

void AdamW::step(std::span<const AdamWPiece> pieces, double lr, double gradient_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const AdamWStep step{gradient_scale,
                       config_.beta1,
                       config_.beta2,
                       1.0 - lr * config_.weight_decay,
                       lr / (1.0 - std::pow(config_.beta1, t)),
                       1.0 / std::sqrt(1.0 - std::pow(config_.beta2, t)),
                       config_.eps};
  std::int64_t at = 0;
  for (const AdamWPiece& piece : pieces) {
    const std::int64_t size = piece.values.numel();
    GRANULE_CHECK(size == piece.gradients.numel(), "adamw: {} values, {} gradients", size,
                  piece.gradients.numel());
    GRANULE_CHECK(at + size <= m_.numel(), "adamw: more than {} values", m_.numel());
    const bool of_masters = masters_.defined();
    adamw_kernel({of_masters ? masters_.slice(at, {size}) : piece.values, m_.slice(at, {size}),
                  v_.slice(at, {size}), piece.gradients, of_masters ? piece.values : Tensor(),
                  ranges_of(at, size), step});
    at += size;
  }
  GRANULE_CHECK(at == m_.numel(), "adamw: {} values, {} moments", at, m_.numel());
}

}  // namespace granule
