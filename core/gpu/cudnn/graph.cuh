// Writes down a computation as a cuDNN operation graph: tensors of four dimensions, and the operations
// between them in the order in which they depend on each other. It computes nothing.
#pragma once
#include <array>
#include <optional>
#include <vector>

#include "core/gpu/cudnn/descriptor.cuh"

namespace granule::gpu::dnn {

using Dims = std::array<std::int64_t, 4>;

/// The strides of a tensor without gaps, row-major.
[[nodiscard]] constexpr Dims packed(const Dims& dims) {
  return {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
}

/// A tensor of a graph. Dimensions are batch, head, and the two of a matrix. Strides are in elements.
struct GraphTensor {
  cudnnBackendDescriptor_t raw;
  Dims dims, strides;
};

class Graph {
 public:
  /// A tensor in memory. Whoever runs the graph gives the address that belongs to `id`.
  GraphTensor tensor(std::int64_t id, const Dims& dims, const Dims& strides, cudnnDataType_t type);
  /// One float, whose value is given with the addresses.
  GraphTensor scalar(std::int64_t id);

  // Each operation returns its result, which has no memory: cuDNN keeps it in registers if it can. The result
  // has the dimensions of x. The second operand may be a single row, column or number for all of them.
  GraphTensor pointwise(cudnnPointwiseMode_t mode, const GraphTensor& x,
                        cudnnDataType_t type = CUDNN_DATA_FLOAT);
  GraphTensor pointwise(cudnnPointwiseMode_t mode, const GraphTensor& x, const GraphTensor& b,
                        cudnnDataType_t type = CUDNN_DATA_FLOAT);
  /// Of each element its index along an axis.
  GraphTensor index(const GraphTensor& of, std::int64_t axis);
  /// Whether a ≥ b.
  GraphTensor at_least(const GraphTensor& a, const GraphTensor& b);
  /// x where `which` holds, else `other`.
  GraphTensor select(const GraphTensor& x, const GraphTensor& other, const GraphTensor& which);
  /// A b. A group of a's heads may share a head of b.
  GraphTensor matmul(const GraphTensor& a, const GraphTensor& b, cudnnDataType_t type = CUDNN_DATA_FLOAT);
  /// Over the dimensions in which the result is shorter. One that is not 1 there has groups of equal size.
  GraphTensor reduce(cudnnReduceTensorOp_t by, const GraphTensor& x, const Dims& to);
  /// The same elements with the last two dimensions exchanged.
  GraphTensor transpose(const GraphTensor& x, cudnnDataType_t type);

  // The same with a result in memory.
  void pointwise_into(const GraphTensor& y, cudnnPointwiseMode_t mode, const GraphTensor& x,
                      const GraphTensor& b);
  void matmul_into(const GraphTensor& y, const GraphTensor& a, const GraphTensor& b);
  void reduce_into(const GraphTensor& y, cudnnReduceTensorOp_t by, const GraphTensor& x);

  /// The finished graph, or nothing if cuDNN does not support it. The Graph must live as long as it. The
  /// handle of a device may be left out if the graph is planned for a described one.
  [[nodiscard]] std::optional<Descriptor> finish(cudnnHandle_t handle) const;
  [[nodiscard]] std::int64_t operations() const { return std::ssize(operations_); }
  [[nodiscard]] std::int64_t tensors() const { return tensors_; }

 private:
  struct Operands {
    const GraphTensor* b = nullptr;
    const GraphTensor* which = nullptr;
    std::int64_t axis = -1;
  };
  GraphTensor add_tensor(std::int64_t id, const Dims& dims, const Dims& strides, cudnnDataType_t type,
                         bool has_memory, bool by_value);
  GraphTensor temporary(const Dims& dims, cudnnDataType_t type);
  void add_pointwise(const GraphTensor& y, cudnnPointwiseMode_t mode, cudnnDataType_t computes_in,
                     const GraphTensor& x, const Operands& others);
  Descriptor& keep(cudnnBackendDescriptorType_t type);
  Descriptor& add_operation(cudnnBackendDescriptorType_t type);

  std::vector<Descriptor> kept_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::int64_t tensors_ = 0, next_temporary_ = 1000;
};

}  // namespace granule::gpu::dnn
