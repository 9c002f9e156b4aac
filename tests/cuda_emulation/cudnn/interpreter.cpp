#include "tests/cuda_emulation/cudnn/interpreter.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include <cuda_bf16.h>

#include "tests/cuda_emulation/emulation.hpp"

namespace fake_cudnn {
namespace {

/// x as a type stores it.
double stored_as(cudnnDataType_t type, double x) {
  if (type == CUDNN_DATA_FLOAT) return double{static_cast<float>(x)};
  if (type == CUDNN_DATA_BFLOAT16) return double{__bfloat162float(__float2bfloat16(static_cast<float>(x)))};
  return x;  // an index or a truth value
}

double load(cudnnDataType_t type, const void* data, std::int64_t at) {
  if (type == CUDNN_DATA_FLOAT) return double{static_cast<const float*>(data)[at]};
  if (type == CUDNN_DATA_INT32)
    return double{static_cast<double>(static_cast<const std::int32_t*>(data)[at])};
  return double{__bfloat162float(static_cast<const __nv_bfloat16*>(data)[at])};
}

void store(cudnnDataType_t type, void* data, std::int64_t at, double x) {
  if (type == CUDNN_DATA_FLOAT) {
    static_cast<float*>(data)[at] = static_cast<float>(x);
  } else {
    static_cast<__nv_bfloat16*>(data)[at] = __float2bfloat16(static_cast<float>(x));
  }
}

std::int64_t offset(const Dims& strides, const Dims& at) {
  std::int64_t sum = 0;
  for (std::size_t axis = 0; axis < at.size(); ++axis) sum += strides[axis] * at[axis];
  return sum;
}

/// Calls body for every place of a tensor, the last dimension fastest.
void each(const Dims& dims, const std::function<void(const Dims&)>& body) {
  Dims at{};
  for (at[0] = 0; at[0] < dims[0]; ++at[0])
    for (at[1] = 0; at[1] < dims[1]; ++at[1])
      for (at[2] = 0; at[2] < dims[2]; ++at[2])
        for (at[3] = 0; at[3] < dims[3]; ++at[3]) body(at);
}

/// The place in a smaller tensor that belongs to one of a larger: a dimension of 1 serves all, and one that
/// divides the larger serves groups.
Dims shrunk(const Dims& at, const Dims& large, const Dims& small) {
  Dims to{};
  for (std::size_t axis = 0; axis < at.size(); ++axis) to[axis] = at[axis] / (large[axis] / small[axis]);
  return to;
}

bool shrinks(const Dims& large, const Dims& small) {
  for (std::size_t axis = 0; axis < large.size(); ++axis)
    if (large[axis] % small[axis] != 0) return false;
  return true;
}

class Machine {
 public:
  explicit Machine(const Memory& memory) : memory_(memory) {}

  void run(const Operation& operation) {
    switch (operation.kind) {
      case Operation::Kind::matmul:
        return matmul(operation);
      case Operation::Kind::pointwise:
        return pointwise(operation);
      case Operation::Kind::reduction:
        return reduce(operation);
      case Operation::Kind::reshape:
        return reshape(operation);
    }
  }

 private:
  [[nodiscard]] double read(const TensorView& x, const Dims& at) const {
    if (x.by_value) return double{memory_.scalars.at(x.id)};
    if (x.is_virtual) return virtual_.at(x.id)[static_cast<std::size_t>(offset(x.strides, at))];
    return load(x.type, memory_.addresses.at(x.id), offset(x.strides, at));
  }
  void write(const TensorView& y, const Dims& at, double value) {
    if (!y.is_virtual) return store(y.type, memory_.addresses.at(y.id), offset(y.strides, at), value);
    auto& elements = virtual_[y.id];
    if (elements.empty())
      elements.resize(static_cast<std::size_t>(y.extent()), std::numeric_limits<double>::quiet_NaN());
    elements[static_cast<std::size_t>(offset(y.strides, at))] = stored_as(y.type, value);
  }

  void matmul(const Operation& o) {
    each(o.y.dims, [&](const Dims& at) {
      double sum = 0.0;
      const Dims heads{o.y.dims[0], o.y.dims[1], 1, 1}, batch{at[0], at[1], 0, 0};
      Dims left = shrunk(batch, heads, {o.x.dims[0], o.x.dims[1], 1, 1});
      Dims right = shrunk(batch, heads, {o.b.dims[0], o.b.dims[1], 1, 1});
      left[2] = at[2];
      right[3] = at[3];
      for (std::int64_t k = 0; k < o.x.dims[3]; ++k) {
        left[3] = right[2] = k;
        sum += read(o.x, left) * read(o.b, right);
      }
      write(o.y, at, sum);
    });
  }

  void pointwise(const Operation& o) {
    each(o.y.dims, [&](const Dims& at) {
      if (o.mode == CUDNN_POINTWISE_GEN_INDEX)
        return write(o.y, at, static_cast<double>(at[static_cast<std::size_t>(o.axis)]));
      const double x = read(o.x, shrunk(at, o.y.dims, o.x.dims));
      const double b = o.has_b ? read(o.b, shrunk(at, o.y.dims, o.b.dims)) : 0.0;
      const bool which = o.has_which && read(o.which, shrunk(at, o.y.dims, o.which.dims)) != 0.0;
      write(o.y, at, value_of(o.mode, x, b, which));
    });
  }
  static double value_of(cudnnPointwiseMode_t mode, double x, double b, bool which) {
    switch (mode) {
      case CUDNN_POINTWISE_ADD:
        return x + b;
      case CUDNN_POINTWISE_SUB:
        return x - b;
      case CUDNN_POINTWISE_MUL:
        return x * b;
      case CUDNN_POINTWISE_DIV:
        return x / b;
      case CUDNN_POINTWISE_EXP:
        return std::exp(x);
      case CUDNN_POINTWISE_LOG:
        return std::log(x);
      case CUDNN_POINTWISE_IDENTITY:
        return x;
      case CUDNN_POINTWISE_CMP_GE:
        return x >= b ? 1.0 : 0.0;
      case CUDNN_POINTWISE_BINARY_SELECT:
        return which ? x : b;
      default:
        cuda_emulation::fail("cuDNN: pointwise mode " + std::to_string(mode));
    }
  }

  void reduce(const Operation& o) {
    const bool adds = o.reduce_by == CUDNN_REDUCE_TENSOR_ADD;
    std::map<Dims, double> results;
    each(o.x.dims, [&](const Dims& at) {
      const double x = read(o.x, at);
      const auto [place, first] = results.try_emplace(shrunk(at, o.x.dims, o.y.dims), x);
      if (!first) place->second = adds ? place->second + x : std::max(place->second, x);
    });
    for (const auto& [at, value] : results) write(o.y, at, value);
  }

  /// The same elements in memory, seen with other dimensions.
  void reshape(const Operation& o) {
    std::map<std::int64_t, double> elements;
    each(o.x.dims, [&](const Dims& at) { elements[offset(o.x.strides, at)] = read(o.x, at); });
    each(o.y.dims, [&](const Dims& at) { write(o.y, at, elements.at(offset(o.y.strides, at))); });
  }

  const Memory& memory_;
  std::map<std::int64_t, std::vector<double>> virtual_;
};

bool knows(const Operation& o) {
  constexpr std::array kModes{CUDNN_POINTWISE_ADD,      CUDNN_POINTWISE_SUB,    CUDNN_POINTWISE_MUL,
                              CUDNN_POINTWISE_DIV,      CUDNN_POINTWISE_EXP,    CUDNN_POINTWISE_LOG,
                              CUDNN_POINTWISE_IDENTITY, CUDNN_POINTWISE_CMP_GE, CUDNN_POINTWISE_BINARY_SELECT,
                              CUDNN_POINTWISE_GEN_INDEX};
  if (o.kind == Operation::Kind::pointwise) return std::ranges::count(kModes, o.mode) > 0;
  return o.kind != Operation::Kind::reduction || o.reduce_by == CUDNN_REDUCE_TENSOR_ADD ||
         o.reduce_by == CUDNN_REDUCE_TENSOR_MAX;
}

bool fits(const Operation& o) {
  const Dims &y = o.y.dims, &x = o.x.dims, &b = o.b.dims;
  switch (o.kind) {
    case Operation::Kind::matmul:
      return x[3] == b[2] && x[2] == y[2] && b[3] == y[3] && y[0] % x[0] == 0 && y[1] % x[1] == 0 &&
             y[0] % b[0] == 0 && y[1] % b[1] == 0;
    case Operation::Kind::pointwise:
      if (o.mode == CUDNN_POINTWISE_GEN_INDEX) return o.axis >= 0 && o.axis < 4;
      if (o.has_which != (o.mode == CUDNN_POINTWISE_BINARY_SELECT)) return false;
      return shrinks(y, x) && (!o.has_b || shrinks(y, b)) && (!o.has_which || shrinks(y, o.which.dims));
    case Operation::Kind::reduction:
      return shrinks(x, y);
    case Operation::Kind::reshape:
      return o.y.extent() == o.x.extent();
  }
  return false;
}

}  // namespace

std::int64_t TensorView::bytes_of_element() const {
  return type == CUDNN_DATA_BFLOAT16 ? 2 : type == CUDNN_DATA_BOOLEAN ? 1 : 4;
}

std::int64_t TensorView::extent() const {
  std::int64_t last = 0;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) last += (dims[axis] - 1) * strides[axis];
  return last + 1;
}

std::string complaint_about(const Computation& computation) {
  std::set<std::int64_t> written;
  for (const Operation& o : computation.operations) {
    if (!knows(o)) return "an operation that this fake does not know";
    if (!fits(o)) return "shapes that do not fit";
    for (const TensorView* input : {&o.x, o.has_b ? &o.b : nullptr, o.has_which ? &o.which : nullptr})
      if (input != nullptr && input->is_virtual && !written.contains(input->id))
        return "a virtual tensor that no operation before has written";
    if (!written.insert(o.y.id).second) return "a tensor that two operations write";
  }
  return "";
}

void compute(const Computation& computation, const Memory& memory) {
  Machine machine(memory);
  for (const Operation& operation : computation.operations) machine.run(operation);
}

}  // namespace fake_cudnn
