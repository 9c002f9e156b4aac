#include "nn/parameters.hpp"

#include <algorithm>

#include "core/random.hpp"

namespace granule {
namespace {

/// Blocks start at multiples of this many elements: kAlignment bytes in the smallest compute dtype.
constexpr std::int64_t kBlockElements = kAlignment / 4;

void fill(const Tensor& tensor, const LogicalTensor& logical, std::uint64_t seed, double range) {
  const RandomStream random(seed, logical.name);
  dispatch_float(tensor.dtype(), [&]<class T>() {
    T* const values = tensor.data<T>();
    parallel_chunks(tensor.context().pool(), tensor.numel(), 1 << 14,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        switch (logical.role) {
                          case ParameterRole::matrix:
                            values[i] = static_cast<T>(range * random.normal(static_cast<std::uint64_t>(i)));
                            break;
                          case ParameterRole::norm:
                            values[i] = T(1);
                            break;
                          case ParameterRole::bias:
                            values[i] = T(0);
                            break;
                        }
                      }
                    });
  });
}

}  // namespace

void ParameterStore::append_parts(const BlockSpec& spec, std::int64_t offset) {
  std::int64_t filled = 0;
  for (const BlockSpec::Part& part : spec.parts) {
    const bool is_new = by_name_.emplace(part.name, logical_.size()).second;
    GRANULE_CHECK(is_new, "parameters: {} is declared twice", part.name);
    logical_.push_back({part.name, part.shape, spec.role, spec.group, offset + filled});
    filled += part.shape.numel();
  }
  GRANULE_CHECK(filled == spec.shape.numel(), "parameters: the parts of a block of {} elements have {}",
                spec.shape.numel(), filled);
}

Param ParameterStore::declare(const BlockSpec& spec) {
  GRANULE_CHECK(!values_.defined(), "parameters: declared after materialise");
  append_parts(spec, arena_size_);
  blocks_.push_back({{}, spec.shape, arena_size_});
  count_ += spec.shape.numel();
  arena_size_ += (spec.shape.numel() + kBlockElements - 1) / kBlockElements * kBlockElements;
  return {&blocks_.back().leaf};
}

Param ParameterStore::declare(const std::string& name, const Shape& shape, ParameterRole role) {
  return declare(BlockSpec{shape, {{name, shape}}, role});
}

const State* ParameterStore::declare_state(const std::string& name, const Shape& shape) {
  GRANULE_CHECK(!values_.defined(), "parameters: declared after materialise");
  GRANULE_CHECK(!has(name) && !has_state(name), "parameters: {} is declared twice", name);
  states_.push_back({name, shape, {}});
  return &states_.back();
}

const State& ParameterStore::state(const std::string& name) const {
  const auto found =
      std::find_if(states_.begin(), states_.end(), [&](const State& s) { return s.name == name; });
  GRANULE_CHECK(found != states_.end(), "parameters: there is no state {}", name);
  return *found;
}

bool ParameterStore::has_state(const std::string& name) const {
  return std::any_of(states_.begin(), states_.end(), [&](const State& s) { return s.name == name; });
}

void ParameterStore::materialise(Context& context, DType dtype, Gradients gradients) {
  GRANULE_CHECK(!values_.defined(), "parameters: materialised twice");
  values_ = Tensor::zeros(context, {arena_size_}, dtype, MemoryCategory::weights);
  if (gradients == Gradients::yes)
    gradients_ = Tensor::zeros(context, {arena_size_}, dtype, MemoryCategory::gradients);
  for (State& state : states_)
    state.value = Tensor::zeros(context, state.shape, DType::f32, MemoryCategory::weights);
  for (Block& block : blocks_) {
    block.leaf.value = values_.slice(block.offset, block.shape);
    if (gradients == Gradients::yes) block.leaf.grad.dst = gradients_.slice(block.offset, block.shape);
  }
}

void ParameterStore::initialise(std::uint64_t seed, double initializer_range) {
  for (const LogicalTensor& tensor : logical_) fill(value_of(tensor), tensor, seed, initializer_range);
  for (const State& state : states_) fill_zero(state.value);
}

void ParameterStore::begin_step() {
  for (Block& block : blocks_) block.leaf.grad.beta = 0.0;
}

void ParameterStore::finish_gradients() {
  for (Block& block : blocks_) {
    if (block.leaf.grad && block.leaf.grad.beta == 0.0) fill_zero(block.leaf.grad.dst);
  }
}

const LogicalTensor& ParameterStore::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  GRANULE_CHECK(found != by_name_.end(), "parameters: there is no {}", name);
  return logical_[found->second];
}

}  // namespace granule
