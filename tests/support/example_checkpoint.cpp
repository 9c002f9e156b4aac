#include "tests/support/example_checkpoint.hpp"

#include <cmath>
#include <fstream>

namespace granule::test {
namespace {

constexpr const char* kTokens = "the tokens";

template <class T>
std::vector<T> values(std::int64_t step, std::int64_t salt, std::size_t count) {
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    result[i] =
        static_cast<T>(std::sin(static_cast<double>(1000 * step + 100 * salt) + static_cast<double>(i)));
  }
  return result;
}

bool same(const std::vector<TensorToSave>& tensors, const TensorSet& set) {
  if (set.names().size() != tensors.size()) return false;
  for (const TensorToSave& tensor : tensors) {
    const auto view = set.find(tensor.spec.name);
    if (!view || view->dtype != tensor.spec.dtype || view->shape != tensor.spec.shape) return false;
    std::vector<std::byte> bytes(view->bytes.size());
    tensor.read(0, bytes);
    if (!std::equal(bytes.begin(), bytes.end(), view->bytes.begin())) return false;
  }
  return true;
}

}  // namespace

ExampleCheckpoint::ExampleCheckpoint(std::int64_t step, const std::filesystem::path& directory)
    : step_(step),
      tokenizer_(directory / "tokenizer.model"),
      sections_{{"config", {{"lr", 0.1 / static_cast<double>(step + 3)}, {"name", "ü"}}},
                {"window", {1, 2.5}}},
      weights_(values<float>(step, 1, 60)),
      bias_(values<double>(step, 2, 20)),
      moments_(values<float>(step, 3, 60)) {
  std::ofstream(tokenizer_) << kTokens;
  model_ = {tensor_of_bytes({"m.w", DType::f32, {20, 3}}, std::as_bytes(std::span(weights_))),
            tensor_of_bytes({"m.b", DType::f64, {20}}, std::as_bytes(std::span(bias_)))};
  optimizer_ = {tensor_of_bytes({"exp_avg/m.w", DType::f32, {20, 3}}, std::as_bytes(std::span(moments_)))};
}

CheckpointContent ExampleCheckpoint::content() const {
  return {step_, 32 * step_, sections_, model_, optimizer_, {tokenizer_}};
}

bool ExampleCheckpoint::equals(const Checkpoint& checkpoint) const {
  if (checkpoint.step() != step_ || checkpoint.consumed_samples() != 32 * step_) return false;
  if (checkpoint.sections() != sections_ || checkpoint.extra_files().size() != 1) return false;
  std::ifstream stream(checkpoint.path() / "tokenizer.model");
  const std::string tokens((std::istreambuf_iterator<char>(stream)), {});
  return tokens == kTokens && same(model_, checkpoint.model()) && same(optimizer_, checkpoint.optimizer());
}

void save_steps(const TempDir& run, std::initializer_list<std::int64_t> steps, std::int64_t keep) {
  CheckpointWriter writer({run.path(), keep, kExampleFileBytes});
  for (const std::int64_t step : steps) writer.save(ExampleCheckpoint(step, run.path()).content());
}

std::filesystem::path checkpoint_at(const TempDir& run, std::int64_t step) {
  return run / "checkpoints" / checkpoint_name(step);
}

}  // namespace granule::test
