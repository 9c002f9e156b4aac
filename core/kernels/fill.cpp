#include "core/kernels/fill.hpp"

#include <algorithm>
#include <cstring>

namespace granule {
namespace {

void clear(const Tensor& y) {
  constexpr std::int64_t kGrain = std::int64_t{1} << 20;
  parallel_chunks(y.context().pool(), y.bytes(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::memset(y.raw() + begin, 0, static_cast<std::size_t>(end - begin));
  });
}

void fill_cpu(const FillArgs& args) {
  if (args.value == 0.0) return clear(args.y);
  dispatch_storage(args.y.dtype(), [&]<class T>() {
    constexpr std::int64_t kGrain = 1 << 16;
    T* const y = args.y.data<T>();
    parallel_chunks(args.y.context().pool(), args.y.numel(), kGrain,
                    [&](std::int64_t begin, std::int64_t end) {
                      std::fill(y + begin, y + end, static_cast<T>(static_cast<Wide<T>>(args.value)));
                    });
  });
}

}  // namespace

constinit KernelSlot<FillArgs> fill_kernel{"fill", fill_cpu};

// It is here and not with the tensor, because a kernel fills it.
Tensor Tensor::zeros(Context& context, const Shape& shape, DType dtype, MemoryCategory category,
                     Place place) {
  Tensor tensor = empty(context, shape, dtype, category, place);
  fill_zero(tensor);
  return tensor;
}

void fill_zero(const Tensor& tensor) {
  fill_kernel({tensor, 0.0});
}

void fill(const Tensor& tensor, double value) {
  fill_kernel({tensor, value});
}

}  // namespace granule
