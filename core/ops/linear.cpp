#include "core/ops/linear.hpp"

#include "core/kernels/accumulate.hpp"
#include "core/kernels/matmul.hpp"

namespace granule {
namespace {

/// Two rows equal to the one of x_1D. Their product has the bits that every row has among others.
Tensor twice(const Tensor& x_1D) {
  const Tensor x_2D = x_1D.empty_like({2, x_1D.shape()[1]});
  for (const std::int64_t row : {0, 1}) accumulate(x_1D, {x_2D.slice(row * x_1D.numel(), x_1D.shape()), 0.0});
  return x_2D;
}

/// A wide result has a gradient in f32, which is multiplied by the widened inputs.
void backward_of_wide(const Tensor& x_ND, const Tensor& w_OD, const Tensor& dy_NO, const Grad& dx_ND,
                      const Grad& dw_OD) {
  const std::string_view name = LinearMap::kName;
  if (dx_ND) {
    const Tensor dx = Tensor::empty(x_ND.context(), x_ND.shape(), dy_NO.dtype(), MemoryCategory::scratch);
    matmul(name, dy_NO, Transpose::no, widened(w_OD), Transpose::no, {dx, 0.0});
    accumulate(dx, dx_ND);
  }
  if (dw_OD) matmul(name, dy_NO, Transpose::yes, widened(x_ND), Transpose::no, dw_OD);
}

}  // namespace

Tensor LinearMap::forward(Saved* saved, const Tensor& x_ND, const Tensor& w_OD) const {
  GRANULE_CHECK(x_ND.shape().rank() == 2 && w_OD.shape().rank() == 2 && x_ND.shape()[1] == w_OD.shape()[1],
                "linear: x {} with w {}, [N, D] and [O, D] are needed", x_ND.shape().str(),
                w_OD.shape().str());
  const DType dtype = rounding == Rounding::none ? wide_of(x_ND.dtype()) : x_ND.dtype();
  Tensor y_NO = Tensor::empty(x_ND.context(), {x_ND.shape()[0], w_OD.shape()[0]}, dtype);
  if (x_ND.shape()[0] == 1 && one_row == OneRow::like_others) {
    const Tensor y_2O = y_NO.empty_like({2, w_OD.shape()[0]});
    matmul(kName, twice(x_ND), Transpose::no, w_OD, Transpose::yes, {y_2O, 0.0});
    accumulate(y_2O.slice(0, y_NO.shape()), {y_NO, 0.0});
  } else {
    matmul(kName, x_ND, Transpose::no, w_OD, Transpose::yes, {y_NO, 0.0});
  }
  if (saved != nullptr) saved->x_ND = x_ND;
  return y_NO;
}

void LinearMap::backward(const Saved& saved, const Tensor& w_OD, const Tensor& dy_NO, const Grad& dx_ND,
                         const Grad& dw_OD) const {
  if (dy_NO.dtype() != w_OD.dtype()) return backward_of_wide(saved.x_ND, w_OD, dy_NO, dx_ND, dw_OD);
  if (dx_ND) matmul(kName, dy_NO, Transpose::no, w_OD, Transpose::no, dx_ND);
  if (dw_OD) matmul(kName, dy_NO, Transpose::yes, saved.x_ND, Transpose::no, dw_OD);
}

}  // namespace granule
