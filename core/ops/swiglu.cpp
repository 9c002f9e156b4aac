#include "core/ops/swiglu.hpp"

#include "core/kernels/swiglu.hpp"

namespace granule {
namespace {

constexpr std::int64_t kRows = 16;  // rows of one task

void forward_cpu(const SwiGlu::ForwardArgs& args) {
  dispatch_storage(args.x_N2F.dtype(), [&]<class T>() {
    const std::int64_t F = args.y_NF.shape()[1];
    const T* const x = args.x_N2F.data<const T>();
    T* const y = args.y_NF.data<T>();
    parallel_chunks(args.x_N2F.context().pool(), args.y_NF.shape()[0], kRows,
                    [=](std::int64_t begin, std::int64_t end) {
                      swiglu_rows(x + begin * 2 * F, end - begin, F, y + begin * F);
                    });
  });
}

void backward_cpu(const SwiGlu::BackwardArgs& args) {
  dispatch_storage(args.x_N2F.dtype(), [&]<class T>() {
    const std::int64_t F = args.dy_NF.shape()[1];
    const T *x = args.x_N2F.data<const T>(), *dy = args.dy_NF.data<const T>();
    T* const dx = args.dx_N2F.dst.data<T>();
    const double beta = args.dx_N2F.beta;
    parallel_chunks(
        args.x_N2F.context().pool(), args.dy_NF.shape()[0], kRows, [=](std::int64_t begin, std::int64_t end) {
          swiglu_rows_backward(x + begin * 2 * F, dy + begin * F, end - begin, F, dx + begin * 2 * F, beta);
        });
  });
}

}  // namespace

constinit KernelSlot<SwiGlu::ForwardArgs> SwiGlu::forward_kernel{"swiglu", forward_cpu};
constinit KernelSlot<SwiGlu::BackwardArgs> SwiGlu::backward_kernel{"swiglu", backward_cpu};

Tensor SwiGlu::forward(Saved* saved, const Tensor& x_N2F) const {
  GRANULE_CHECK(x_N2F.shape().rank() == 2 && x_N2F.shape()[1] % 2 == 0, "swiglu: x {}, [N, 2F] is needed",
                x_N2F.shape().str());
  Tensor y_NF = x_N2F.empty_like({x_N2F.shape()[0], x_N2F.shape()[1] / 2});
  forward_kernel({x_N2F, y_NF});
  if (saved != nullptr) saved->x_N2F = x_N2F;
  return y_NF;
}

void SwiGlu::backward(const Saved& saved, const Tensor& dy_NF, const Grad& dx_N2F) const {
  if (dx_N2F) backward_kernel({saved.x_N2F, dy_NF, dx_N2F});
}

}  // namespace granule
