#include "optim/adamw.hpp"

#include <cmath>

#include "core/kernels/adamw.hpp"

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
  GRANULE_CHECK(values.numel() == m_.numel() && gradients.numel() == m_.numel(),
                "adamw: {} values, {} gradients, {} moments", values.numel(), gradients.numel(), m_.numel());
  ++steps_;
  const auto t = static_cast<double>(steps_);
  AdamWStep step{gradient_scale,
                 config_.beta1,
                 config_.beta2,
                 1.0,
                 lr / (1.0 - std::pow(config_.beta1, t)),
                 1.0 / std::sqrt(1.0 - std::pow(config_.beta2, t)),
                 config_.eps};
  dispatch_float(values.dtype(), [&]<class T>() {
    T *const w = values.data<T>(), *const m = m_.data<T>(), *const v = v_.data<T>();
    const T* const g = gradients.data<const T>();
    for (const DecayRange& range : ranges_) {
      step.keep = range.decay == Decay::yes ? 1.0 - lr * config_.weight_decay : 1.0;
      parallel_chunks(values.context().pool(), range.end - range.begin, 1 << 16,
                      [&](std::int64_t begin, std::int64_t end) {
                        const std::int64_t at = range.begin + begin;
                        adamw_update(w + at, m + at, v + at, g + at, end - begin, step);
                      });
    }
  });
}

}  // namespace granule
