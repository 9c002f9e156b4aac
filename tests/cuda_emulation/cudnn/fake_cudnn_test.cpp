// The fake cuDNN itself: what it refuses, and that it computes what functions of the project compute.
#include <cmath>

#include "core/gpu/cudnn/plan.cuh"
#include "core/kernels/gemm.hpp"
#include "tests/cuda_emulation/cudnn/graphs.hpp"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::gpu::dnn;
using cuda_emulation::Buffer, cuda_emulation::Stream;

namespace {

constexpr cudnnDataType_t kF32 = CUDNN_DATA_FLOAT;

std::vector<float> normal_floats(std::int64_t n, std::uint64_t seed) {
  std::vector<float> values;
  for (const double value : test::normal_values(n, seed)) values.push_back(static_cast<float>(value));
  return values;
}

/// A handle on a stream, and the plan of one graph.
class Bench {
 public:
  Bench() {
    check(cudnnCreate(&handle_), "create");
    check(cudnnSetStream(handle_, stream_), "stream");
  }
  ~Bench() { cudnnDestroy(handle_); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  [[nodiscard]] Plan plan(std::unique_ptr<Graph> graph) const {
    const Target target{.handle = handle_};
    for (Configuration& candidate : Configuration::candidates(std::move(graph), target, std::nullopt))
      if (auto plan = Plan::compile(std::move(candidate), target)) return std::move(*plan);
    throw std::runtime_error("there is no engine");
  }
  void run(const Plan& plan, const std::vector<Binding>& bindings) const {
    const Buffer<std::byte> workspace(static_cast<std::size_t>(plan.workspace() + 1));
    plan.run(handle_, bindings, workspace.data());
    stream_.wait();
  }
  [[nodiscard]] const Stream& stream() const { return stream_; }
  [[nodiscard]] cudnnHandle_t handle() const { return handle_; }

 private:
  Stream stream_;
  cudnnHandle_t handle_ = nullptr;
};

/// y = x + x of four numbers.
std::unique_ptr<Graph> doubled() {
  auto graph = std::make_unique<Graph>();
  const Dims dims{1, 1, 1, 4};
  const GraphTensor x = graph->tensor(1, dims, packed(dims), kF32);
  graph->pointwise_into(graph->tensor(2, dims, packed(dims), kF32), CUDNN_POINTWISE_ADD, x, x);
  return graph;
}

cudnnStatus_t set_id(cudnnBackendDescriptor_t tensor, cudnnBackendAttributeType_t tag, std::int64_t count) {
  const std::int64_t ids[2] = {1, 2};
  return cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, tag, count, ids);
}

}  // namespace

TEST_CASE("fake cuDNN: a product for groups of heads is that of the project's GEMM") {
  const Bench bench;
  constexpr std::int64_t kBatch = 2, kHeads = 6, kShared = 3, kRows = 5, kInner = 7, kColumns = 4;
  const Dims a{kBatch, kHeads, kRows, kInner}, b{kBatch, kShared, kInner, kColumns},
      c{kBatch, kHeads, kRows, kColumns};
  auto graph = std::make_unique<Graph>();
  // The right operand is stored transposed.
  const GraphTensor left = graph->tensor(1, a, packed(a), kF32);
  const GraphTensor right =
      graph->tensor(2, b, {kShared * kInner * kColumns, kInner * kColumns, 1, kInner}, kF32);
  graph->matmul_into(graph->tensor(3, c, packed(c), kF32), left, right);
  const std::vector<float> x = normal_floats(kBatch * kHeads * kRows * kInner, 1);
  const std::vector<float> w = normal_floats(kBatch * kShared * kInner * kColumns, 2);
  const Buffer<float> x_there(bench.stream(), x), w_there(bench.stream(), w);
  const Buffer<float> y_there(static_cast<std::size_t>(kBatch * kHeads * kRows * kColumns));
  bench.run(bench.plan(std::move(graph)), {{1, x_there.data()}, {2, w_there.data()}, {3, y_there.data()}});
  std::vector<float> expected(static_cast<std::size_t>(kBatch * kHeads * kRows * kColumns));
  for (std::int64_t head = 0; head < kBatch * kHeads; ++head) {
    const float* const matrix = w.data() + head / (kHeads / kShared) * kInner * kColumns;
    gemm_serial<float>(kRows, kColumns, kInner, {x.data() + head * kRows * kInner, kInner},
                       {matrix, kInner, Transpose::yes},
                       {expected.data() + head * kRows * kColumns, kColumns});
  }
  const std::vector<float> found = y_there.values(bench.stream());
  // Sums of seven products in float32 and in float64.
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(2e-6));
}

TEST_CASE("fake cuDNN: reductions, broadcasts, comparisons and choices") {
  const Bench bench;
  auto graph = std::make_unique<Graph>();
  const Dims dims{1, 2, 3, 4}, rows{1, 2, 3, 1}, groups{1, 1, 3, 1};
  const GraphTensor x = graph->tensor(1, dims, packed(dims), kF32);
  const GraphTensor sums = graph->reduce(CUDNN_REDUCE_TENSOR_ADD, x, rows);
  graph->reduce_into(graph->tensor(2, rows, packed(rows), kF32), CUDNN_REDUCE_TENSOR_MAX, x);
  graph->reduce_into(graph->tensor(3, groups, packed(groups), kF32), CUDNN_REDUCE_TENSOR_ADD, sums);
  const GraphTensor chosen =
      graph->select(x, graph->scalar(5), graph->at_least(graph->index(x, 2), graph->index(x, 3)));
  graph->pointwise_into(graph->tensor(4, dims, packed(dims), kF32), CUDNN_POINTWISE_DIV, chosen, sums);
  std::vector<float> values;
  for (int i = 0; i < 24; ++i) values.push_back(static_cast<float>(i + 1));
  const Buffer<float> there(bench.stream(), values), most(6), grouped(3), divided(24);
  const float other = -1.0F;
  bench.run(bench.plan(std::move(graph)),
            {{1, there.data()}, {2, most.data()}, {3, grouped.data()}, {4, divided.data()}, {5, &other}});
  CHECK(most.values(bench.stream()) == std::vector<float>{4, 8, 12, 16, 20, 24});
  CHECK(grouped.values(bench.stream()) == std::vector<float>{10 + 58, 26 + 74, 42 + 90});
  const std::vector<float> found = divided.values(bench.stream());
  CHECK(found[0] == Approx(1.0 / 10));    // the first query has the first key
  CHECK(found[1] == Approx(-1.0 / 10));   // and no other
  CHECK(found[18] == Approx(-1.0 / 74));  // the second of the second head does not have the third
  CHECK(found[22] == Approx(23.0 / 90));  // and the third has it
}

TEST_CASE("fake cuDNN: it refuses what the documentation does not allow") {
  Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  CHECK(set_id(tensor.raw(), CUDNN_TYPE_DOUBLE, 1) == CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
  CHECK(set_id(tensor.raw(), CUDNN_TYPE_INT64, 2) == CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND);
  CHECK(set_id(tensor.raw(), CUDNN_TYPE_INT64, 1) == CUDNN_STATUS_SUCCESS);
  CHECK_THROWS_WITH(tensor.set(CUDNN_ATTR_POINTWISE_AXIS, std::int64_t{1}),
                    Catch::Contains("not an attribute"));
  CHECK_THROWS_WITH(tensor.finalise(), Catch::Contains("is missing"));
  Descriptor operation(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
  CHECK_THROWS_WITH(operation.set(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, tensor),
                    Catch::Contains("not finalised"));
  Graph graph;
  const Dims a{1, 1, 2, 3}, b{1, 1, 4, 2};
  const GraphTensor x = graph.tensor(1, a, packed(a), kF32), w = graph.tensor(2, b, packed(b), kF32);
  static_cast<void>(graph.matmul(x, w));
  const Bench bench;
  CHECK_THROWS_WITH(static_cast<void>(graph.finish(bench.handle())),
                    Catch::Contains("shapes that do not fit"));
}

TEST_CASE(
    "fake cuDNN: every tensor of a graph has an aligned address on the device, and nothing else has one") {
  const Bench bench;
  const Plan plan = bench.plan(doubled());
  const Buffer<float> x(bench.stream(), {1, 2, 3, 4}), y(8);
  std::vector<float> host(4);
  CHECK_THROWS_WITH(bench.run(plan, {{1, x.data()}}), Catch::Contains("without an address"));
  CHECK_THROWS_WITH(bench.run(plan, {{1, x.data()}, {2, y.data()}, {3, y.data()}}),
                    Catch::Contains("does not have"));
  CHECK_THROWS_WITH(bench.run(plan, {{1, x.data()}, {2, y.data() + 1}}), Catch::Contains("not aligned"));
  CHECK_THROWS_WITH(bench.run(plan, {{1, x.data()}, {2, host.data()}}), Catch::Contains("not inside one"));
  bench.run(plan, {{1, x.data()}, {2, y.data()}});
  const std::vector<float> found = y.values(bench.stream());
  CHECK(std::vector(found.begin(), found.begin() + 4) == std::vector<float>{2, 4, 6, 8});
}

TEST_CASE("cudnn plans: an engine that may differ from run to run, or does not compile, is never chosen") {
  const Bench bench;
  CHECK(bench.plan(doubled()).configuration().engine() == 2);
  const Target target{.handle = bench.handle()};
  const auto choose = [&](std::int64_t pinned) {
    std::vector<std::int64_t> engines;
    for (const auto& candidate :
         Configuration::candidates(doubled(), target, Pinned{pinned, {{CUDNN_KNOB_TYPE_STAGES, 2}}}))
      engines.push_back(candidate.engine());
    return engines;
  };
  using Engines = std::vector<std::int64_t>;
  CHECK(choose(2) == Engines{2, 3, 2});  // pinned, and then suggested
  CHECK(choose(7) == Engines{3, 2});     // 7 does not exist
  CHECK(choose(1) == Engines{3, 2});
}
