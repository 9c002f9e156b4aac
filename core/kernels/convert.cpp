#include "core/kernels/convert.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

void widen(const bf16* from, std::int64_t n, float* to) {
  map(
      Store::overwrite, to, n, [](auto, auto v) HWY_ATTR { return v; }, from);
}
void round(const float* from, std::int64_t n, bf16* to, bool add) {
  map(
      add ? Store::add : Store::overwrite, to, n, [](auto, auto v) HWY_ATTR { return v; }, from);
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {

HWY_EXPORT(widen);
HWY_EXPORT(round);

void widen_row(const bf16* from, std::int64_t n, float* to) {
  HWY_DYNAMIC_DISPATCH(widen)(from, n, to);
}
void round_row(const float* from, std::int64_t n, bf16* to, bool add) {
  HWY_DYNAMIC_DISPATCH(round)(from, n, to, add);
}

}  // namespace granule
#endif
