#include "core/gpu/cudnn/graph.cuh"

namespace granule::gpu::dnn {
namespace {

/// In bytes, of every tensor. cuDNN's engines read 16 bytes at once.
constexpr std::int64_t kAlignment = 16;

}  // namespace

Descriptor& Graph::keep(cudnnBackendDescriptorType_t type) {
  return kept_.emplace_back(type);
}

Descriptor& Graph::add_operation(cudnnBackendDescriptorType_t type) {
  Descriptor& operation = keep(type);
  operations_.push_back(operation.raw());
  return operation;
}

GraphTensor Graph::add_tensor(std::int64_t id, const Dims& dims, const Dims& strides, cudnnDataType_t type,
                              bool has_memory, bool by_value) {
  Descriptor& tensor = keep(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(dims))
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(strides))
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment)
      .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, !has_memory)
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value)
      .finalise();
  ++tensors_;
  return {tensor.raw(), dims, strides};
}

GraphTensor Graph::tensor(std::int64_t id, const Dims& dims, const Dims& strides, cudnnDataType_t type) {
  return add_tensor(id, dims, strides, type, true, false);
}

GraphTensor Graph::scalar(std::int64_t id) {
  return add_tensor(id, {1, 1, 1, 1}, {1, 1, 1, 1}, CUDNN_DATA_FLOAT, true, true);
}

GraphTensor Graph::temporary(const Dims& dims, cudnnDataType_t type) {
  return add_tensor(next_temporary_++, dims, packed(dims), type, false, false);
}

void Graph::add_pointwise(const GraphTensor& y, cudnnPointwiseMode_t mode, cudnnDataType_t computes_in,
                          const GraphTensor& x, const Operands& others) {
  Descriptor& kind = keep(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  kind.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, computes_in);
  if (others.axis >= 0) kind.set(CUDNN_ATTR_POINTWISE_AXIS, others.axis);
  const cudnnBackendDescriptor_t of_kind = kind.finalise().raw();
  Descriptor& operation = add_operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, of_kind)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.raw)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y.raw);
  if (others.b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, others.b->raw);
  if (others.which != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_TDESC, others.which->raw);
  operation.finalise();
}

GraphTensor Graph::pointwise(cudnnPointwiseMode_t mode, const GraphTensor& x, cudnnDataType_t type) {
  const GraphTensor y = temporary(x.dims, type);
  add_pointwise(y, mode, CUDNN_DATA_FLOAT, x, {});
  return y;
}

GraphTensor Graph::pointwise(cudnnPointwiseMode_t mode, const GraphTensor& x, const GraphTensor& b,
                             cudnnDataType_t type) {
  const GraphTensor y = temporary(x.dims, type);
  add_pointwise(y, mode, CUDNN_DATA_FLOAT, x, {.b = &b});
  return y;
}

void Graph::pointwise_into(const GraphTensor& y, cudnnPointwiseMode_t mode, const GraphTensor& x,
                           const GraphTensor& b) {
  add_pointwise(y, mode, CUDNN_DATA_FLOAT, x, {.b = &b});
}

GraphTensor Graph::index(const GraphTensor& of, std::int64_t axis) {
  const GraphTensor y = temporary(of.dims, CUDNN_DATA_INT32);
  add_pointwise(y, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, of, {.axis = axis});
  return y;
}

GraphTensor Graph::at_least(const GraphTensor& a, const GraphTensor& b) {
  const GraphTensor y = temporary(a.dims, CUDNN_DATA_BOOLEAN);
  add_pointwise(y, CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, a, {.b = &b});
  return y;
}

GraphTensor Graph::select(const GraphTensor& x, const GraphTensor& other, const GraphTensor& which) {
  const GraphTensor y = temporary(x.dims, CUDNN_DATA_FLOAT);
  add_pointwise(y, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, x, {.b = &other, .which = &which});
  return y;
}

void Graph::matmul_into(const GraphTensor& y, const GraphTensor& a, const GraphTensor& b) {
  Descriptor& kind = keep(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
  const cudnnBackendDescriptor_t of_kind =
      kind.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT).finalise().raw();
  add_operation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR)
      .set(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a.raw)
      .set(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b.raw)
      .set(CUDNN_ATTR_OPERATION_MATMUL_CDESC, y.raw)
      .set(CUDNN_ATTR_OPERATION_MATMUL_DESC, of_kind)
      .finalise();
}

GraphTensor Graph::matmul(const GraphTensor& a, const GraphTensor& b, cudnnDataType_t type) {
  const GraphTensor y = temporary({a.dims[0], a.dims[1], a.dims[2], b.dims[3]}, type);
  matmul_into(y, a, b);
  return y;
}

void Graph::reduce_into(const GraphTensor& y, cudnnReduceTensorOp_t by, const GraphTensor& x) {
  Descriptor& kind = keep(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
  const cudnnBackendDescriptor_t of_kind = kind.set(CUDNN_ATTR_REDUCTION_OPERATOR, by)
                                               .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT)
                                               .finalise()
                                               .raw();
  add_operation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR)
      .set(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x.raw)
      .set(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y.raw)
      .set(CUDNN_ATTR_OPERATION_REDUCTION_DESC, of_kind)
      .finalise();
}

GraphTensor Graph::reduce(cudnnReduceTensorOp_t by, const GraphTensor& x, const Dims& to) {
  const GraphTensor y = temporary(to, CUDNN_DATA_FLOAT);
  reduce_into(y, by, x);
  return y;
}

GraphTensor Graph::transpose(const GraphTensor& x, cudnnDataType_t type) {
  const GraphTensor y =
      add_tensor(next_temporary_++, {x.dims[0], x.dims[1], x.dims[3], x.dims[2]},
                 {x.strides[0], x.strides[1], x.strides[3], x.strides[2]}, type, false, false);
  add_operation(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR)
      .set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x.raw)
      .set(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y.raw)
      .finalise();
  return y;
}

std::optional<Descriptor> Graph::finish(cudnnHandle_t handle) const {
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const cudnnBackendDescriptor_t>(operations_));
  if (handle != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
  if (!graph.finalise_if_supported()) return std::nullopt;
  return graph;
}

}  // namespace granule::gpu::dnn
