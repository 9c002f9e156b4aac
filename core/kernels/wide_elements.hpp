// Tensors that may be stored in bf16, for kernels that compute in float throughout: they are widened before,
// and rounded after.
#pragma once
#include "core/kernels/convert.hpp"
#include "core/workspace.hpp"

namespace granule {

/// The part of the workspace that the elements of x need.
[[nodiscard]] inline WorkspacePart wide_part(const Tensor& x) {
  return {x.dtype() == DType::bf16 ? x.numel() : 0, wide_of(x.dtype())};
}

inline constexpr std::int64_t kConvertGrain = 1 << 15;

/// The elements of x, or widened copies of them in the workspace.
template <class T>
[[nodiscard]] const Wide<T>* wide_elements(const Tensor& x, Workspace& workspace) {
  const T* const from = x.data<const T>();
  if constexpr (std::is_same_v<T, bf16>) {
    float* const wide = workspace.take<float>(x.numel());
    parallel_chunks(x.context().pool(), x.numel(), kConvertGrain, [=](std::int64_t begin, std::int64_t end) {
      widen_row(from + begin, end - begin, wide + begin);
    });
    return wide;
  } else {
    return from;
  }
}

/// A place for the elements of a result: its own, or one in the workspace from which finish() rounds them.
template <class T>
class WideResult {
 public:
  WideResult(const Grad& result, Workspace& workspace) : result_(result) {
    if constexpr (std::is_same_v<T, bf16>) {
      elements_ = workspace.take<float>(result.dst.numel());
    } else {
      elements_ = result.dst.data<T>();
    }
  }
  [[nodiscard]] Wide<T>* elements() const { return elements_; }
  /// With what the kernel must add to elements(): they are new in the workspace.
  [[nodiscard]] double beta() const { return std::is_same_v<T, bf16> ? 0.0 : result_.beta; }
  void finish() const {
    if constexpr (std::is_same_v<T, bf16>) {
      const Tensor& y = result_.dst;
      parallel_chunks(y.context().pool(), y.numel(), kConvertGrain,
                      [&, to = y.data<T>()](std::int64_t begin, std::int64_t end) {
                        round_row(elements_ + begin, end - begin, to + begin, result_.beta != 0.0);
                      });
    }
  }

 private:
  Grad result_;
  Wide<T>* elements_;
};

}  // namespace granule
