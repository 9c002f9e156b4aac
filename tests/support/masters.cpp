#include "tests/support/masters.hpp"

#include <cstring>
#include <vector>

#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"

namespace granule::test {

void require_masters(const std::filesystem::path& checkpoint) {
  const Checkpoint opened = open_checkpoint(checkpoint);
  const TensorSet& tensors = opened.model();
  std::size_t not_in_bf16 = 0, all = 0;
  for (const std::string& name : tensors.names()) {
    REQUIRE(tensors.find(name)->dtype == DType::f32);
    std::vector<float> values(tensors.find(name)->bytes.size() / sizeof(float));
    std::memcpy(values.data(), tensors.find(name)->bytes.data(), values.size() * sizeof(float));
    for (const float value : values) not_in_bf16 += widened(bf16(value)) != value ? 1 : 0;
    all += values.size();
  }
  CHECK(not_in_bf16 > all * 9 / 10);  // few numbers of float32 are numbers of bf16
}

}  // namespace granule::test
