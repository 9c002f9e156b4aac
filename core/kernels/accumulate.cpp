#include "core/kernels/accumulate.hpp"

#include <algorithm>

namespace granule {
namespace {

template <class T>
void add_up(const AccumulateArgs& args) {
  constexpr std::int64_t kGrain = 1 << 16;
  const T* const from = args.source.data<const T>();
  T* const to = args.destination.dst.data<T>();
  const T beta = static_cast<T>(args.destination.beta);
  parallel_chunks(args.source.context().pool(), args.source.numel(), kGrain,
                  [=](std::int64_t begin, std::int64_t end) {
                    if (beta == T(0)) {
                      std::copy(from + begin, from + end, to + begin);
                    } else {
                      for (std::int64_t i = begin; i < end; ++i) to[i] = from[i] + beta * to[i];
                    }
                  });
}

void accumulate_cpu(const AccumulateArgs& args) {
  if (args.source.dtype() == DType::i64) return add_up<std::int64_t>(args);
  dispatch_float(args.source.dtype(), [&]<class T>() { add_up<T>(args); });
}

}  // namespace

constinit KernelSlot<AccumulateArgs> accumulate_kernel{"accumulate", accumulate_cpu};

void accumulate(const Tensor& source, const Grad& destination) {
  GRANULE_CHECK(source.numel() == destination.dst.numel(), "accumulate: {} elements into {}", source.numel(),
                destination.dst.numel());
  GRANULE_CHECK(source.dtype() == destination.dst.dtype(), "accumulate: {} into {}", name_of(source.dtype()),
                name_of(destination.dst.dtype()));
  accumulate_kernel({source, destination});
}

}  // namespace granule
