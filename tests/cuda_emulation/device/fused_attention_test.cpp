// Attention in bf16 on the device of the CUDA plug-in: which calls cuDNN computes, and what they give. Here
// the operator has aligned tensors, which the tests of tests/core/attention_test.cpp do not have.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "core/device_remarks.hpp"
#include "core/ops/attention.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using FirstKeys = std::vector<std::int32_t>;

Numbers in_bf16(Numbers values) {
  for (double& value : values) value = static_cast<double>(widened(bf16(static_cast<float>(value))));
  return values;
}

struct Results {
  Numbers y, log_sum, unrecorded, dqkv, added;
};

/// Forward with and without what backward needs, and gradients that overwrite and that are added.
Results run(Context& context, DType dtype, const Attention& a, const FirstKeys& first_keys) {
  const std::int64_t tokens = a.batch * a.seq;
  const Tensor qkv =
      tensor_of(context, {tokens, a.width()}, dtype, in_bf16(normal_values(tokens * a.width(), 1)));
  const Tensor dy = tensor_of(context, {tokens, a.heads * a.v_dim}, dtype,
                              in_bf16(normal_values(tokens * a.heads * a.v_dim, 2)));
  const Tensor keys = first_keys.empty() ? Tensor() : ids_of(context, {tokens}, first_keys);
  Attention::Saved saved;
  const Tensor y = a.forward(&saved, qkv, keys), unrecorded = a.forward(nullptr, qkv, keys);
  const Tensor dqkv = qkv.empty_like(qkv.shape());
  const Tensor added =
      tensor_of(context, qkv.shape(), dtype, Numbers(static_cast<std::size_t>(qkv.numel()), 1.0));
  a.backward(saved, dy, {dqkv, 0.0});
  a.backward(saved, dy, {added, 1.0});
  return {values_of(y), values_of(saved.log_sum), values_of(unrecorded), values_of(dqkv), values_of(added)};
}

/// Lines about this direction.
std::int64_t lines(const Context& context, const std::string& text) {
  std::string all = device_remarks(const_cast<Context&>(context).runtime());
  std::int64_t count = 0;
  for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
  return count;
}

/// Returns what the device tells of its choices.
std::string compare(const Attention& a, const std::string& by, const FirstKeys& first_keys = {}) {
  INFO("seq " << a.seq << ", heads " << a.heads << "/" << a.kv_heads << ", widths " << a.qk_dim << "/"
              << a.v_dim);
  Context host({.threads = 1});
  TestContext device;
  const Results expected = run(host, DType::f64, a, first_keys),
                found = run(device, DType::bf16, a, first_keys);
  // Weights, scores and results are rounded to bf16, by 2e-3 of a number each.
  CHECK(relative_difference(found.y, expected.y) < 4e-3);
  // Whichever computes backward reads them. They are sums of ten products that are exact in float32.
  CHECK(relative_difference(found.log_sum, expected.log_sum) < 1e-5);
  CHECK(found.unrecorded == found.y);
  CHECK(relative_difference(found.dqkv, expected.dqkv) < 1e-2);
  CHECK(relative_difference(found.added, expected.added) < 1e-2);
  INFO(device_remarks(device.runtime()));
  CHECK(lines(device, by) == 2);  // forward and backward
  CHECK(lines(device, "attention ") == 2);
  return device_remarks(device.runtime());
}

/// Two documents in each sequence. They begin elsewhere in the next one.
FirstKeys documents(const Attention& a) {
  FirstKeys keys;
  for (std::int64_t i = 0; i < a.batch * a.seq; ++i) {
    const std::int64_t begin = 3 + 2 * (i / a.seq);
    keys.push_back(i % a.seq >= begin ? static_cast<std::int32_t>(begin) : 0);
  }
  return keys;
}

}  // namespace

TEST_CASE("fused attention: cuDNN computes bf16, and a mask of documents too") {
  if (test_device().type != DeviceType::cuda) return;
  compare({2, 9, 4, 2, 16, 16}, "cuDNN 9");
  compare({1, 10, 3, 3, 32, 8}, "cuDNN 9");
  const Attention a{2, 11, 4, 1, 8, 24};
  compare(a, "cuDNN 9", documents(a));
}

TEST_CASE(
    "fused attention: where all sequences need too large a workspace, parts are computed, with their "
    "documents") {
  // Filling workspaces of 400 MiB takes seconds, so it is done under one schedule.
  const char* const schedule = std::getenv("GRANULE_EMULATED_SCHEDULE");
  if (test_device().type != DeviceType::cuda || schedule == nullptr ||
      std::string_view(schedule) != "forward")
    return;
  setenv("GRANULE_EMULATED_CUDNN_WORKSPACE", "230000", 1);
  const Attention a{4, 9, 4, 2, 16, 16};
  const std::string remarks = compare(a, "cuDNN 9", documents(a));
  CHECK_THAT(remarks, Catch::Contains("2 sequences at once") && Catch::Contains("1 sequences at once"));
  unsetenv("GRANULE_EMULATED_CUDNN_WORKSPACE");
}

TEST_CASE("fused attention: batched products take what cuDNN has no engine for, and the remarks say so") {
  if (test_device().type != DeviceType::cuda) return;
  compare({2, 9, 4, 2, 12, 16}, "batched products, because cuDNN 9");
  compare({2, 1, 2, 1, 16, 16}, "batched products, because cuDNN 9");
}

TEST_CASE("fused attention: a first key after its token is an error with both numbers") {
  if (test_device().type != DeviceType::cuda) return;
  TestContext context;
  const Attention a{1, 4, 1, 1, 8, 8};
  const Tensor qkv = tensor_of(context, {4, a.width()}, DType::bf16, normal_values(4 * a.width(), 1));
  const Tensor y = a.forward(nullptr, qkv, ids_of(context, {4}, FirstKeys{0, 0, 3, 0}));
  CHECK_THROWS_WITH(values_of(y), Catch::Contains("token 2 of a sequence sees from 3 on"));
}
