// AdamW (Loshchilov & Hutter 2019) over a flat range of parameters, in one pass over values, gradients and
// moments.
#pragma once
#include <span>
#include <vector>

#include "core/kernel_slot.hpp"
#include "core/kernels/adamw.hpp"
#include "core/tensor.hpp"

namespace granule {

struct AdamWConfig {
  double beta1 = 0.9, beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

/// Elements [begin, end) that decay, or do not.
enum class Decay : bool { no, yes };
struct DecayRange {
  std::int64_t begin, end;
  Decay decay;
};

/// A part of what is optimised: values and gradients of the same elements.
struct AdamWPiece {
  Tensor values, gradients;
};

/// One update of a piece. All tensors have its elements. The ranges count from its first element, and cover
/// it in order. `step.keep` is for the ranges that decay. If w are masters, `rounded` are the values in bf16
/// that are made of them, and otherwise it is undefined.
struct AdamWArgs {
  Tensor w, m, v, g, rounded;
  std::span<const DecayRange> ranges;
  AdamWStep step;
};
extern KernelSlot<AdamWArgs> adamw_kernel;

/// In step t = 1, 2, …, with g the gradient times `gradient_scale`:
///   w ← w (1 − lr · weight_decay)  if w decays
///   m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
///   w ← w − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)
/// Every element is updated, whether or not it had a gradient, as in the reference.
class AdamW {
 public:
  /// The ranges must cover [0, elements) in order. The moments start at zero. Masters are kept if they are
  /// not the values. They also start at zero, and the caller sets them before the first step. `place` is
  /// where moments and masters are.
  AdamW(Context& context, const AdamWConfig& config, Precision precision, std::int64_t elements,
        std::vector<DecayRange> ranges, Place place = Place::device);

  /// What it keeps for each parameter: two moments, and a master if that is not the value.
  [[nodiscard]] static constexpr std::int64_t bytes_per_element(const Precision& precision) {
    return (precision.keeps_masters() ? 3 : 2) * size_of(precision.masters);
  }

  /// Values and gradients are flat and have `elements` elements.
  void step(const Tensor& values, const Tensor& gradients, double lr, double gradient_scale);
  /// The same for values in several places, which have `elements` elements together, in order.
  void step(std::span<const AdamWPiece> pieces, double lr, double gradient_scale);

  /// Undefined if the values are the masters.
  [[nodiscard]] const Tensor& masters() const { return masters_; }
  [[nodiscard]] const Tensor& first_moment() const { return m_; }
  [[nodiscard]] const Tensor& second_moment() const { return v_; }
  [[nodiscard]] std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }  ///< call it after loading the moments

 private:
  /// The decay of elements [begin, begin + size), counted from the first of them.
  [[nodiscard]] std::vector<DecayRange> ranges_of(std::int64_t begin, std::int64_t size) const;

  AdamWConfig config_;
  std::vector<DecayRange> ranges_;
  Tensor masters_, m_, v_;
  std::int64_t steps_ = 0;
};

}  // namespace granule
