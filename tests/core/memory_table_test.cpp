#include "core/memory_table.hpp"

#include "core/error.hpp"
#include "core/tensor.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("memory_table: the memory table keeps the present and the peak of each category and of all") {
  MemoryTable table;
  table.add(MemoryCategory::weights, 100);
  table.add(MemoryCategory::activations, 50);
  table.add(MemoryCategory::activations, -50);
  table.add(MemoryCategory::scratch, 30);
  CHECK(table.current(MemoryCategory::weights) == 100);
  CHECK(table.current(MemoryCategory::activations) == 0);
  CHECK(table.peak(MemoryCategory::activations) == 50);
  CHECK(table.current_total() == 130);
  CHECK(table.peak_total() == 150);  // below the sum of the peaks, 180
}

TEST_CASE("memory_table: every category has a name of its own") {
  for (int i = 0; i < kMemoryCategories; ++i) {
    for (int j = 0; j < i; ++j)
      CHECK(name_of(static_cast<MemoryCategory>(i)) != name_of(static_cast<MemoryCategory>(j)));
  }
}

TEST_CASE("memory_table: tensors are counted from birth to the death of their last copy") {
  Context context;
  {
    const Tensor weights = Tensor::empty(context, {10}, DType::f64, MemoryCategory::weights);
    CHECK(context.memory().current(MemoryCategory::weights) == 80);
    CHECK(context.step_memory().in_use() == 0);
    Tensor activation = Tensor::empty(context, {3}, DType::f32);
    const Tensor part = activation.slice(1, {2});
    activation = Tensor();
    CHECK(context.memory().current(MemoryCategory::activations) == 12);
    CHECK(context.step_memory().in_use() == kAlignment);
  }
  CHECK(context.memory().current_total() == 0);
  CHECK(context.memory().peak_total() == 92);
  CHECK(context.step_memory().in_use() == 0);
}

TEST_CASE("memory_table: a tensor that does not fit leaves nothing behind") {
  Context context({.step_memory = 1 << 12});
  CHECK_THROWS_AS(Tensor::empty(context, {1 << 20}, DType::f32), Error);
  CHECK(context.memory().current_total() == 0);
  CHECK(context.step_memory().in_use() == 0);
}
