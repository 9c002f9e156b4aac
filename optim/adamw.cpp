#include "optim/adamw.hpp"

#include <algorithm>
#include <cmath>

namespace granule {

AdamW::AdamW(Context& context, const AdamWConfig& config, DType dtype, std::int64_t elements,
             std::vector<DecayRange> ranges)
    : config_(config),
      ranges_(std::move(ranges)),
      m_(Tensor::zeros(context, {elements}, dtype, MemoryCategory::optimizer)),
      v_(Tensor::zeros(context, {elements}, dtype, MemoryCategory::optimizer)) {
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

void AdamW::step(std::span<const AdamWPiece> pieces, double lr, double gradient_scale) {
  ++steps_;
  const auto t = static_cast<double>(steps_);
  const AdamWStep step{gradient_scale,
                       config_.beta1,
                       config_.beta2,
                       1.0,
                       lr / (1.0 - std::pow(config_.beta1, t)),
                       1.0 / std::sqrt(1.0 - std::pow(config_.beta2, t)),
                       config_.eps};
  std::int64_t at = 0;
  for (const AdamWPiece& piece : pieces) {
    GRANULE_CHECK(piece.values.numel() == piece.gradients.numel(), "adamw: {} values, {} gradients",
                  piece.values.numel(), piece.gradients.numel());
    GRANULE_CHECK(at + piece.values.numel() <= m_.numel(), "adamw: more than {} values", m_.numel());
    update(piece, at, step, 1.0 - lr * config_.weight_decay);
    at += piece.values.numel();
  }
  GRANULE_CHECK(at == m_.numel(), "adamw: {} values, {} moments", at, m_.numel());
}

void AdamW::update(const AdamWPiece& piece, std::int64_t at, AdamWStep step, double decay) {
  dispatch_float(piece.values.dtype(), [&]<class T>() {
    T *const w = piece.values.data<T>(), *const m = m_.data<T>() + at, *const v = v_.data<T>() + at;
    const T* const g = piece.gradients.data<const T>();
    for (const DecayRange& range : ranges_) {
      const std::int64_t first = std::max(range.begin - at, std::int64_t{0});
      const std::int64_t last = std::min(range.end - at, piece.values.numel());
      if (first >= last) continue;
      step.keep = range.decay == Decay::yes ? decay : 1.0;
      parallel_chunks(piece.values.context().pool(), last - first, 1 << 16,
                      [&](std::int64_t begin, std::int64_t end) {
                        const std::int64_t i = first + begin;
                        adamw_update(w + i, m + i, v + i, g + i, end - begin, step);
                      });
    }
  });
}

}  // namespace granule
