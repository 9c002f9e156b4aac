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
  dispatch_storage(args.y.dtype(), [&]<class T>() {
    gpu::map_tensors<T>({args.y, 0.0}, Constant<Wide<T>>{static_cast<Wide<T>>(args.value)});
  });
}

void copy_cuda(const CopyArgs& args) {
  GRANULE_GPU_CHECK(cudaMemcpyAsync(args.to.raw(), args.from.raw(), static_cast<std::size_t>(args.to.bytes()),
                                    cudaMemcpyDeviceToDevice, gpu::stream_of(args.to)));
}

template <class To, class From>
void add_up(const AccumulateArgs& args) {
  gpu::map_tensors<To, From>(args.destination, Same{}, args.source);
}

void accumulate_cuda(const AccumulateArgs& args) {
  const bool to_bf16 = args.destination.dst.dtype() == DType::bf16;
  switch (args.source.dtype()) {
    case DType::i64:
      return add_up<std::int64_t, std::int64_t>(args);
    case DType::f64:
      return add_up<double, double>(args);
    case DType::f32:
      return to_bf16 ? add_up<bf16, float>(args) : add_up<float, float>(args);
    default:
      return to_bf16 ? add_up<bf16, bf16>(args) : add_up<float, bf16>(args);
  }
}

const gpu::Kernels kernels([] {
  fill_kernel.fill(DeviceType::cuda, fill_cuda);
  copy_kernel.fill(DeviceType::cuda, copy_cuda);
  accumulate_kernel.fill(DeviceType::cuda, accumulate_cuda);
  return 3;
});

}  // namespace
}  // namespace granule
