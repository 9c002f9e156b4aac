#include "core/kernels/accumulate.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/accumulate.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace granule::HWY_NAMESPACE {

template <class From, class To>
void add_up(const AccumulateArgs& args) {
  constexpr std::int64_t kGrain = 1 << 16;
  const From* const from = args.source.data<const From>();
  To* const to = args.destination.dst.data<To>();
  const Store store = store_of(args.destination.beta);
  parallel_chunks(args.source.context().pool(), args.source.numel(), kGrain,
                  [=](std::int64_t begin, std::int64_t end) HWY_ATTR {
                    map(
                        store, to + begin, end - begin, [](auto, auto v) HWY_ATTR { return v; },
                        from + begin);
                  });
}

template <class From>
void add_up_from(const AccumulateArgs& args) {
  if (args.destination.dst.dtype() == DType::bf16) return add_up<From, bf16>(args);
  add_up<From, Wide<From>>(args);
}

void accumulate_floats(const AccumulateArgs& args) {
  switch (args.source.dtype()) {
    case DType::f64:
      return add_up<double, double>(args);
    case DType::f32:
      return add_up_from<float>(args);
    default:
      return add_up_from<bf16>(args);
  }
}

}  // namespace granule::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace granule {
namespace {

HWY_EXPORT(accumulate_floats);

void accumulate_counts(const AccumulateArgs& args) {
  const auto* const from = args.source.data<const std::int64_t>();
  auto* const to = args.destination.dst.data<std::int64_t>();
  const bool add = args.destination.beta != 0.0;
  for (std::int64_t i = 0; i < args.source.numel(); ++i) to[i] = from[i] + (add ? to[i] : 0);
}

void accumulate_cpu(const AccumulateArgs& args) {
  if (args.source.dtype() == DType::i64) return accumulate_counts(args);
  HWY_DYNAMIC_DISPATCH(accumulate_floats)(args);
}

/// Whether numbers of one type can be added to numbers of the other.
bool fit(DType from, DType to) {
  const bool numbers = from == DType::f32 || from == DType::f64 || from == DType::bf16 || from == DType::i64;
  return numbers && wide_of(from) == wide_of(to);
}

}  // namespace

constinit KernelSlot<AccumulateArgs> accumulate_kernel{"accumulate", accumulate_cpu};

void accumulate(const Tensor& source, const Grad& destination) {
  GRANULE_CHECK(source.numel() == destination.dst.numel(), "accumulate: {} elements into {}", source.numel(),
                destination.dst.numel());
  GRANULE_CHECK(fit(source.dtype(), destination.dst.dtype()), "accumulate: {} into {}",
                name_of(source.dtype()), name_of(destination.dst.dtype()));
  accumulate_kernel({source, destination});
}

Tensor widened(const Tensor& x, MemoryCategory category) {
  if (wide_of(x.dtype()) == x.dtype()) return x;
  Tensor wide = Tensor::empty(x.context(), x.shape(), wide_of(x.dtype()), category);
  accumulate(x, {wide, 0.0});
  return wide;
}

}  // namespace granule
#endif
