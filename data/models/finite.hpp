// Whether stored numbers are finite. No model has others: they spread to everything that is computed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/dtype.hpp"

namespace granule {

/// The first element that is NaN or infinite, of numbers in a file's byte order. Integers are always finite.
[[nodiscard]] std::optional<std::int64_t> first_not_finite(DType dtype, std::span<const std::byte> bytes);

}  // namespace granule
