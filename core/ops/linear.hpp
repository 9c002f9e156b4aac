// A linear map without bias. N rows (tokens), D in, O out. Its kernel is matmul's.
#pragma once
#include "core/kernels/gemm.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Whether sums of inputs in bf16 are rounded to bf16. In other dtypes it is the same.
enum class Rounding : bool { to_inputs, none };

/// y_NO = x_ND w_OD^T.   dx_ND = dy_NO w_OD,   dw_OD = dy_NO^T x_ND.
/// The error in f32 is about sqrt(D)·6e-8 of |x||w|. Sums of bf16 are f32 and rounded once, or not at all if
/// the result is wide.
struct LinearMap {
  OneRow one_row = OneRow::alone;  ///< how a product of one token is computed
  Rounding rounding = Rounding::to_inputs;

  static constexpr std::string_view kName = "linear";
  struct Saved {
    Tensor x_ND;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const Tensor& w_OD) const;
  void backward(const Saved& saved, const Tensor& w_OD, const Tensor& dy_NO, const Grad& dx_ND,
                const Grad& dw_OD) const;
};

}  // namespace granule
