#include "tests/cuda_emulation/cudnn/graphs.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

namespace fake_cudnn {
namespace {

TensorView view_of(const Descriptor& d) {
  TensorView view;
  view.id = d.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  view.type = d.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
  std::ranges::copy(d.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS), view.dims.begin());
  std::ranges::copy(d.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES), view.strides.begin());
  view.is_virtual = d.has(CUDNN_ATTR_TENSOR_IS_VIRTUAL) && d.one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL);
  view.by_value = d.has(CUDNN_ATTR_TENSOR_IS_BY_VALUE) && d.one<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE);
  return view;
}

/// Of an operation: where its attributes are.
struct Names {
  Operation::Kind kind;
  int y, x, b = -1, which = -1;
};

Names names_of(const Descriptor& operation) {
  switch (operation.type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
      return {Operation::Kind::matmul, CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_ATTR_OPERATION_MATMUL_ADESC,
              CUDNN_ATTR_OPERATION_MATMUL_BDESC};
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
      return {Operation::Kind::reduction, CUDNN_ATTR_OPERATION_REDUCTION_YDESC,
              CUDNN_ATTR_OPERATION_REDUCTION_XDESC};
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
      return {Operation::Kind::reshape, CUDNN_ATTR_OPERATION_RESHAPE_YDESC,
              CUDNN_ATTR_OPERATION_RESHAPE_XDESC};
    default:
      return {Operation::Kind::pointwise, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
              CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
              CUDNN_ATTR_OPERATION_POINTWISE_TDESC};
  }
}

Operation operation_of(const Descriptor& d) {
  const Names names = names_of(d);
  Operation o{
      .kind = names.kind, .y = view_of(d.of(names.y)), .x = view_of(d.of(names.x)), .b = {}, .which = {}};
  o.has_b = d.has(names.b);
  o.has_which = d.has(names.which);
  if (o.has_b) o.b = view_of(d.of(names.b));
  if (o.has_which) o.which = view_of(d.of(names.which));
  if (names.kind == Operation::Kind::reduction) {
    o.reduce_by =
        d.of(CUDNN_ATTR_OPERATION_REDUCTION_DESC).one<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
  }
  if (names.kind == Operation::Kind::pointwise) {
    const Descriptor& kind = d.of(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    o.mode = kind.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    if (kind.has(CUDNN_ATTR_POINTWISE_AXIS)) o.axis = kind.one<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS);
  }
  return o;
}

/// Whether a head has a size that cuDNN's fused kernels take on every architecture: the elements that lie one
/// after the other are a multiple of 8, and at most 128.
bool is_size_of_head(const TensorView& operand) {
  if (operand.is_virtual || operand.type != CUDNN_DATA_BFLOAT16) return true;
  for (std::size_t axis = 2; axis < 4; ++axis) {
    const std::int64_t dim = operand.dims[axis];
    if (operand.strides[axis] == 1 && (dim % 8 != 0 || dim > 128)) return false;
  }
  return true;
}

/// Tests make workspaces as large as those of long sequences: GRANULE_EMULATED_CUDNN_WORKSPACE is how many
/// times as large.
std::int64_t times_as_large() {
  const char* const times = std::getenv("GRANULE_EMULATED_CUDNN_WORKSPACE");
  return times == nullptr ? 1 : std::stoll(times);
}

}  // namespace

cudnnStatus_t check_tensor(const Descriptor& d) {
  const auto dims = d.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const bool four = dims.size() == 4 && d.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES).size() == 4;
  if (four && std::ranges::all_of(dims, [](std::int64_t dim) { return dim > 0; }))
    return CUDNN_STATUS_SUCCESS;
  remember("the fake has tensors of four dimensions, none of which is 0");
  return CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t read_graph(Descriptor& descriptor) {
  auto computation = std::make_shared<Computation>();
  bool unique = true;
  for (const Descriptor* operation : descriptor.all<const Descriptor*>(CUDNN_ATTR_OPERATIONGRAPH_OPS)) {
    const Operation o = operation_of(*operation);
    for (const TensorView* tensor : {&o.y, &o.x, o.has_b ? &o.b : nullptr, o.has_which ? &o.which : nullptr})
      if (tensor != nullptr && !tensor->is_virtual)
        unique &= computation->in_memory.try_emplace(tensor->id, *tensor).first->second == *tensor;
    computation->operations.push_back(o);
  }
  const std::string complaint = unique ? complaint_about(*computation) : "one id for two tensors";
  descriptor.computation = std::move(computation);
  if (complaint.empty()) return CUDNN_STATUS_SUCCESS;
  remember(complaint);
  return CUDNN_STATUS_BAD_PARAM;
}

std::vector<Engine> engines_for(const Computation& computation) {
  std::int64_t largest = 0;
  for (const Operation& o : computation.operations) {
    if (o.y.is_virtual) largest = std::max(largest, o.y.extent());
    const bool is_product = o.kind == Operation::Kind::matmul;
    if (is_product && !(is_size_of_head(o.y) && is_size_of_head(o.x) && is_size_of_head(o.b))) return {};
  }
  const std::int64_t workspace = 2 * largest * times_as_large();
  return {{.index = 1, .repeats = false, .compiles = true, .workspace = 0},
          {.index = 3, .repeats = true, .compiles = false, .workspace = workspace},
          {.index = 2, .repeats = true, .compiles = true, .workspace = workspace}};
}

}  // namespace fake_cudnn
