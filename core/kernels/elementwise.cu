#include "core/gpu/elementwise.cuh"
#include "core/kernels/accumulate.hpp"
#include "core/kernels/copy.hpp"
#include "core/kernels/fill.hpp"

namespace granule {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};
struct Same {
  template <class T>
  __device__ T operator()(T value) const {
    return value;
  }
};

void fill_cuda(const FillArgs& args) {
  if (args.value == 0.0) return gpu::runtime_of(args.y).fill(args.y.raw(), args.y.bytes(), std::byte{0});
  dispatch_float(args.y.dtype(), [&]<class T>() {
    gpu::map_tensors<T>({args.y, 0.0}, Constant<T>{static_cast<T>(args.value)});
  });
}

void copy_cuda(const CopyArgs& args) {
  GRANULE_GPU_CHECK(cudaMemcpyAsync(args.to.raw(), args.from.raw(), static_cast<std::size_t>(args.to.bytes()),
                                    cudaMemcpyDeviceToDevice, gpu::stream_of(args.to)));
}

void accumulate_cuda(const AccumulateArgs& args) {
  if (args.source.dtype() == DType::i64)
    return gpu::map_tensors<std::int64_t>(args.destination, Same{}, args.source);
  dispatch_float(args.source.dtype(),
                 [&]<class T>() { gpu::map_tensors<T>(args.destination, Same{}, args.source); });
}

const gpu::Kernels kernels([] {
  fill_kernel.fill(DeviceType::cuda, fill_cuda);
  copy_kernel.fill(DeviceType::cuda, copy_cuda);
  accumulate_kernel.fill(DeviceType::cuda, accumulate_cuda);
  return 3;
});

}  // namespace
}  // namespace granule
