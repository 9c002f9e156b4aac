#include "core/shape.hpp"

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using granule::Shape;

TEST_CASE("shape: a shape knows its rank, its elements and its text") {
  const Shape shape{2, 3, 5};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 30);
  CHECK(shape[-1] == 5);
  CHECK(shape.str() == "[2, 3, 5]");
  CHECK(Shape{4, 0}.numel() == 0);
  CHECK(Shape{}.numel() == 1);
}

TEST_CASE("shape: a shape refuses negative and too many dimensions") {
  CHECK_THROWS_AS((Shape{2, -1}), granule::Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1}), granule::Error);
}
