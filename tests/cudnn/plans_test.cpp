// The real cuDNN plans our graphs for devices that are only described. So it recognises the graphs, has
// engines for them, and compiles their kernels. What these kernels compute needs a GPU.
#include <cstdlib>

#include "core/gpu/cudnn/attention_plans.cuh"
#include "tests/cudnn/described_device.hpp"
#include "tests/support/catch.hpp"

using namespace granule::gpu::dnn;
using test::kDevices;

namespace {

/// The engines and bytes below are those of this library.
constexpr std::size_t kVersion = 91900;

bool is_version_of_figures() {
  if (cudnnGetVersion() == kVersion) return true;
  fmt::print("skipped: this is cuDNN {}, and the figures are those of {}\n", cudnnGetVersion(), kVersion);
  return false;
}

AttentionShape shape_of(std::int64_t qk_dim, std::int64_t v_dim, bool masked = false) {
  return {
      .batch = 2, .seq = 1024, .heads = 8, .kv_heads = 2, .qk_dim = qk_dim, .v_dim = v_dim, .masked = masked};
}

/// Whether each direction has an engine, on each device: "fb" has both, "f-" forward alone.
std::string engines_for(const AttentionShape& shape) {
  std::string found;
  for (const auto& device : kDevices) {
    const Descriptor properties = test::described(device);
    const Target target{.described = &properties, .capability = device.capability};
    for (const auto direction : {Direction::forward, Direction::backward}) {
      const bool there = !configure_attention(direction, shape, target).empty();
      found += !there ? '-' : direction == Direction::forward ? 'f' : 'b';
    }
    found += ' ';
  }
  return found;
}

/// For example "engine 7, 41943168 bytes, 23 operations on 32 tensors".
std::string planned(const test::DeviceFigures& device, Direction direction, const AttentionShape& shape) {
  const Descriptor properties = test::described(device);
  const Target target{.described = &properties, .capability = device.capability};
  const auto made = make_attention_plan(direction, shape, target);
  if (!made) return "no engine";
  const Configuration& configuration = made->plan.configuration();
  return fmt::format("engine {}, {} bytes, {} operations on {} tensors", configuration.engine(),
                     made->plan.workspace(), configuration.graph().operations(),
                     configuration.graph().tensors());
}

}  // namespace

TEST_CASE("cudnn plans: the real library compiles forward and backward for each architecture") {
  if (!is_version_of_figures()) return;
  const AttentionShape shape = shape_of(128, 128);
  const auto forward = [&](std::size_t i) { return planned(kDevices[i], Direction::forward, shape); };
  const auto backward = [&](std::size_t i) { return planned(kDevices[i], Direction::backward, shape); };
  CHECK(forward(0) == "engine 1, 0 bytes, 14 operations on 19 tensors");
  CHECK(forward(1) == "engine 2, 256 bytes, 14 operations on 19 tensors");
  CHECK(forward(2) == "engine 3, 0 bytes, 14 operations on 19 tensors");
  CHECK(backward(0) == "engine 7, 41943168 bytes, 23 operations on 32 tensors");
  CHECK(backward(1) == "engine 6, 41943296 bytes, 23 operations on 32 tensors");
  CHECK(backward(2) == "engine 5, 16777344 bytes, 23 operations on 32 tensors");
}

TEST_CASE("cudnn plans: the real library compiles both directions with a mask of documents", "[.long]") {
  if (!is_version_of_figures()) return;
  const AttentionShape shape = shape_of(64, 64, true);
  const auto forward = [&](std::size_t i) { return planned(kDevices[i], Direction::forward, shape); };
  const auto backward = [&](std::size_t i) { return planned(kDevices[i], Direction::backward, shape); };
  CHECK(forward(0) == "engine 1, 0 bytes, 15 operations on 21 tensors");
  CHECK(forward(1) == "engine 2, 256 bytes, 15 operations on 21 tensors");
  CHECK(forward(2) == "engine 3, 0 bytes, 15 operations on 21 tensors");
  CHECK(backward(0) == "engine 7, 37748864 bytes, 24 operations on 34 tensors");
  CHECK(backward(1) == "engine 6, 37748992 bytes, 24 operations on 34 tensors");
  CHECK(backward(2) == "engine 7, 37748864 bytes, 24 operations on 34 tensors");
}

TEST_CASE("cudnn plans: the real library compiles every size of heads, and few and many sequences",
          "[.long]") {
  if (!is_version_of_figures()) return;
  const auto has_plans = [](const AttentionShape& shape) {
    INFO("seq " << shape.seq << ", heads of " << shape.qk_dim << " and " << shape.v_dim);
    for (const auto& device : kDevices) {
      CHECK(planned(device, Direction::forward, shape) != "no engine");
      CHECK(planned(device, Direction::backward, shape) != "no engine");
    }
  };
  for (const std::int64_t dim : {8, 16, 32, 40, 96}) has_plans(shape_of(dim, dim));
  AttentionShape odd = shape_of(64, 128);
  odd.seq = 77;
  odd.kv_heads = odd.heads;
  has_plans(odd);
}

TEST_CASE("cudnn plans: a batch that would need more than 512 MiB is computed in parts", "[.long]") {
  if (!is_version_of_figures()) return;
  const Descriptor properties = test::described(kDevices[1]);
  const Target target{.described = &properties, .capability = 90};
  AttentionShape shape = shape_of(128, 128);
  shape.batch = 12;
  shape.seq = 4096;
  // A sequence needs 8 · 4096² · 2 bytes, which are 256 MiB, and more for the heads of a group.
  const auto made = make_attention_plan(Direction::backward, shape, target);
  REQUIRE(made.has_value());
  CHECK(made->sequences == 1);
  CHECK(made->plan.workspace() > std::int64_t{256} << 20);
  CHECK(make_attention_plan(Direction::forward, shape, target)->sequences == 12);
}

TEST_CASE("cudnn plans: which head sizes and lengths have engines") {
  if (!is_version_of_figures()) return;
  for (const std::int64_t dim : {8, 16, 32, 40, 64, 96, 128}) {
    INFO("heads of " << dim);
    CHECK(engines_for(shape_of(dim, dim)) == "fb fb fb ");
    CHECK(engines_for(shape_of(dim, dim, true)) == "fb fb fb ");
  }
  CHECK(engines_for(shape_of(128, 64)) == "fb fb fb ");
  CHECK(engines_for(shape_of(192, 128)) == "f- fb fb ");
  CHECK(engines_for(shape_of(256, 256)) == "f- fb f- ");
  CHECK(engines_for(shape_of(36, 36)) == "-- -- -- ");
  CHECK(engines_for(shape_of(100, 100)) == "-- -- -- ");
  for (const std::int64_t seq : {2, 3, 77, 1000}) {
    INFO("sequences of " << seq << " tokens");
    for (const bool masked : {false, true}) {
      AttentionShape shape = shape_of(64, 64, masked);
      shape.seq = seq;
      CHECK(engines_for(shape) == "fb fb fb ");
      shape.kv_heads = shape.heads;
      CHECK(engines_for(shape) == "fb fb fb ");
    }
  }
}
