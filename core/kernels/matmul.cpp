#include "core/kernels/matmul.hpp"

namespace granule {
namespace {

std::int64_t rows(const Tensor& x, Transpose transpose) {
  return x.shape()[transpose == Transpose::yes ? 1 : 0];
}
std::int64_t columns(const Tensor& x, Transpose transpose) {
  return x.shape()[transpose == Transpose::yes ? 0 : 1];
}

template <class T, class Out>
void multiply(const MatmulArgs& args) {
  const Tensor &a = args.a, &b = args.b, &c = args.c.dst;
  gemm(a.context().pool(), c.shape()[0], c.shape()[1], columns(a, args.transpose_a),
       MatrixIn<T>{a.data<const T>(), a.shape()[1], args.transpose_a},
       MatrixIn<T>{b.data<const T>(), b.shape()[1], args.transpose_b},
       MatrixOut<Out>{c.data<Out>(), c.shape()[1], args.c.beta});
}

void matmul_cpu(const MatmulArgs& args) {
  dispatch_storage(args.a.dtype(), [&]<class T>() {
    return args.c.dst.dtype() == dtype_of<T> ? multiply<T, T>(args) : multiply<T, Wide<T>>(args);
  });
}

}  // namespace

constinit KernelSlot<MatmulArgs> matmul_kernel{"matmul", matmul_cpu};

void matmul(std::string_view name, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, const Grad& c) {
  const auto text = [](const Tensor& x, Transpose transpose) {
    return x.shape().str() + (transpose == Transpose::yes ? "^T" : "");
  };
  const bool matrices = a.shape().rank() == 2 && b.shape().rank() == 2 && c.dst.shape().rank() == 2;
  GRANULE_CHECK(matrices && columns(a, transpose_a) == rows(b, transpose_b) &&
                    c.dst.shape() == Shape({rows(a, transpose_a), columns(b, transpose_b)}),
                "{}: {} times {} into {}", name, text(a, transpose_a), text(b, transpose_b),
                c.dst.shape().str());
  const DType sum = c.dst.dtype();
  const bool fits = sum == a.dtype() || sum == Precision(a.dtype()).gradients;
  GRANULE_CHECK(a.dtype() == b.dtype() && fits, "{}: {} times {} into {}", name, name_of(a.dtype()),
                name_of(b.dtype()), name_of(sum));
  matmul_kernel({a, transpose_a, b, transpose_b, c});
}

}  // namespace granule
