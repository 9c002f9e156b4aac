// Rotary position embedding (Su et al. 2021, arXiv 2104.09864) in the layout of the published models: a pair
// is (i, i + C/2), from the two halves of a head. N rows (tokens), W columns, C columns of a head, P
// positions.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// cos and sin of p / stretch · theta^(−2i/C), computed in float64 and rounded once. The owner of the
/// attention makes it once; it is memory of the run.
struct RopeTable {
  Tensor cos_PH, sin_PH;  ///< H = C/2
  RopeTable() = default;
  /// For positions 0 to positions − 1. head_dim must be even. The memory category is weights.
  RopeTable(Context& context, DType dtype, std::int64_t head_dim, double theta, std::int64_t positions,
            double stretch = 1.0);
};

/// Let α be the angle of the row's position and pair i. In each of the first `heads` blocks of C columns:
///   y_i = x_i cos α − x_{i+H} sin α,   y_{i+H} = x_{i+H} cos α + x_i sin α
/// The columns after these blocks (values) stay as they are. Backward is the rotation by −α.
/// A tensor that nobody else has is rotated in place.
struct Rope {
  static constexpr std::string_view kName = "rope";
  std::int64_t heads = 1;  ///< number of heads that are rotated: those of queries and keys in a fused qkv
  RopeTable table;
  Tensor position_N;  ///< i32 in [0, P); others are refused

  /// Returns y.
  [[nodiscard]] Tensor forward(Tensor x_NW) const;
  /// Returns dx.
  [[nodiscard]] Tensor backward(Tensor dy_NW) const;

  enum class Turn : bool { forwards, backwards };
  /// y = rotated x; y may be x
  struct Args {
    Tensor x_NW, cos_PH, sin_PH, position_N;
    std::int64_t heads;
    Turn turn;
    Tensor y_NW;
  };
  static KernelSlot<Args> kernel;

 private:
  [[nodiscard]] Tensor turned(Tensor x_NW, Turn turn) const;
};

}  // namespace granule
