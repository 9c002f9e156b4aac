#include "core/shape.hpp"

#include <fmt/ranges.h>

#include "core/error.hpp"

namespace granule {

Shape::Shape(std::initializer_list<std::int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  GRANULE_CHECK(dims.size() <= kMaxRank, "shape: {} dimensions, at most {} are supported", dims.size(),
                kMaxRank);
  std::size_t i = 0;
  for (const std::int64_t d : dims) {
    GRANULE_CHECK(d >= 0, "shape: dimension {} is {}", i, d);
    dims_[i++] = d;
  }
}

std::string Shape::str() const {
  return fmt::format("[{}]", fmt::join(dims_.begin(), dims_.begin() + rank_, ", "));
}

}  // namespace granule
