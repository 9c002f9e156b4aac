// Computes what a cuDNN graph says, one operation after the other, in float64 with the rounding that the
// types of its tensors state. It knows nothing of attention. A fused kernel keeps other results in float32.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <cudnn.h>

namespace fake_cudnn {

using Dims = std::array<std::int64_t, 4>;

struct TensorView {
  std::int64_t id = 0;
  Dims dims{}, strides{};
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  bool is_virtual = false, by_value = false;

  friend bool operator==(const TensorView&, const TensorView&) = default;
  [[nodiscard]] std::int64_t bytes_of_element() const;
  /// Elements from the first to the last, with those between that belong to other tensors.
  [[nodiscard]] std::int64_t extent() const;
};

struct Operation {
  enum class Kind : std::uint8_t { matmul, pointwise, reduction, reshape };
  Kind kind;
  TensorView y, x, b, which;  // a matmul computes y = x b
  bool has_b = false, has_which = false;
  cudnnPointwiseMode_t mode = CUDNN_POINTWISE_IDENTITY;
  cudnnReduceTensorOp_t reduce_by = CUDNN_REDUCE_TENSOR_ADD;
  std::int64_t axis = -1;
};

struct Computation {
  std::vector<Operation> operations;
  /// Every tensor that is not virtual, by its id.
  std::map<std::int64_t, TensorView> in_memory;
};

/// What is wrong with a graph: shapes that do not fit, one id for two tensors, a result that is read before
/// it is there. Empty if nothing is.
[[nodiscard]] std::string complaint_about(const Computation& computation);

/// Scalars come by value, everything else by address.
struct Memory {
  std::map<std::int64_t, void*> addresses;
  std::map<std::int64_t, float> scalars;
};
void compute(const Computation& computation, const Memory& memory);

}  // namespace fake_cudnn
