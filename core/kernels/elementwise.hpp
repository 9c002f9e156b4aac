// Elementwise kernels from a formula: y_i = f(a_i, …) on all threads, in plain loops that the compiler
// vectorises. Formulas that need a vector library are in simd-inl.hpp.
#pragma once
#include <cstdint>
#include <string_view>

#include "core/error.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = f(in_i…) + beta y_i with beta 0 or 1, where f takes and returns T. Beta 0 does not read y.
template <class T, class F, class... In>
void map_elements(const Grad& y, const F& f, const In&... in) {
  constexpr std::int64_t kGrain = 1 << 14;
  T* const to = y.dst.data<T>();
  const bool adds = y.beta != 0.0;
  parallel_chunks(y.dst.context().pool(), y.dst.numel(), kGrain,
                  [=, ... from = in.template data<const T>()](std::int64_t begin, std::int64_t end) {
                    if (adds) {
                      for (std::int64_t i = begin; i < end; ++i) to[i] += f(from[i]...);
                    } else {
                      for (std::int64_t i = begin; i < end; ++i) to[i] = f(from[i]...);
                    }
                  });
}

/// Throws "add: [2, 3] + [3, 2]" unless shapes and dtypes are equal.
inline void require_alike(std::string_view op, std::string_view sign, const Tensor& a, const Tensor& b) {
  GRANULE_CHECK(a.shape() == b.shape(), "{}: {} {} {}", op, a.shape().str(), sign, b.shape().str());
  GRANULE_CHECK(a.dtype() == b.dtype(), "{}: {} {} {}", op, name_of(a.dtype()), sign, name_of(b.dtype()));
}

}  // namespace granule
