// Tensors that are made of others while they are saved: scaled, stacked, with rows in another order. No
// tensor is in memory as a whole. The sources must be readable from any offset, in any order.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/models/safetensors_writer.hpp"

namespace granule {

[[nodiscard]] TensorToSave renamed(TensorToSave tensor, std::string name);
[[nodiscard]] TensorToSave zeros(TensorSpec spec);
/// The values times `factor`, as float32. A tensor of float64 stays float64.
[[nodiscard]] TensorToSave scaled(TensorToSave tensor, double factor);
/// Row i of the result is row source_of(i) of `tensor`. A row is what an index of the first extent selects.
[[nodiscard]] TensorToSave with_rows(TensorToSave tensor,
                                     std::function<std::int64_t(std::int64_t)> source_of);
/// Tensors of one shape as one tensor, which has their number as a new first extent. Their types may differ.
[[nodiscard]] TensorToSave stacked(std::string name, std::vector<TensorToSave> parts);
/// converted(), but throws a user error if f16 cannot hold one of the values.
[[nodiscard]] TensorToSave narrowed(TensorToSave tensor, DType to);

/// The error of a value that a type cannot hold.
[[noreturn]] void refuse_value(std::string_view tensor, std::string_view type);

}  // namespace granule
