#include "nn/parameters.hpp"

#include <algorithm>

#include "core/kernels/fill.hpp"
#include "core/random.hpp"
#include "core/transfer_pieces.hpp"

namespace granule {

void fill_initial(const LogicalTensor& tensor, std::int64_t begin, const Tensor& out, std::uint64_t seed,
                  double initializer_range) {
  if (tensor.role == ParameterRole::norm) return fill(out, 1.0);
  if (tensor.role == ParameterRole::bias) return fill_zero(out);
  // The numbers are computed on the host, so that they have the same bits on every device.
  const RandomStream random(seed, tensor.name);
  dispatch_storage(out.dtype(), [&]<class T>() {
    write_in_pieces<T>(out, [&](std::int64_t first, std::span<T> piece) {
      parallel_chunks(out.context().pool(), std::ssize(piece), 1 << 14,
                      [&](std::int64_t from, std::int64_t to) {
                        for (std::int64_t i = from; i < to; ++i) {
                          const auto number = static_cast<std::uint64_t>(begin + first + i);
                          const auto value = static_cast<Wide<T>>(initializer_range * random.normal(number));
                          piece[static_cast<std::size_t>(i)] = static_cast<T>(value);
                        }
                      });
    });
  });
}

void ParameterStore::append_parts(const BlockSpec& spec) {
  std::int64_t filled = 0;
  for (const BlockSpec::Part& part : spec.parts) {
    const bool is_new = by_name_.emplace(part.name, logical_.size()).second;
    GRANULE_CHECK(is_new, "parameters: {} is declared twice", part.name);
    logical_.push_back({part.name, part.shape, spec.role, spec.group, 0, spec.trainable});
    filled += part.shape.numel();
  }
  GRANULE_CHECK(filled == spec.shape.numel(), "parameters: the parts of a block of {} elements have {}",
                spec.shape.numel(), filled);
}

Param ParameterStore::declare(const BlockSpec& spec) {
  GRANULE_CHECK(!laid_out_, "parameters: declared after they were laid out");
  const std::size_t first_part = logical_.size();
  append_parts(spec);
  blocks_.push_back(
      {{}, spec.shape, spec.group, spec.trainable, unit_, unit_, first_part, spec.parts.size()});
  count_ += spec.shape.numel();
  return {&blocks_.back().leaf};
}

Param ParameterStore::declare(const std::string& name, const Shape& shape, ParameterRole role) {
  return declare(BlockSpec{shape, {{name, shape}}, role});
}

void ParameterStore::use_again(Param parameter) {
  const auto block =
      std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& b) { return &b.leaf == parameter.leaf; });
  GRANULE_CHECK(block != blocks_.end(), "parameters: a unit uses one that is not declared here");
  block->last_user = unit_;
}

void ParameterStore::lay_out_bucket(Bucket bucket, std::int64_t parts) {
  const auto up = [](std::int64_t n, std::int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
  };
  bucket.offset = arena_size_;
  for (Block& block : blocks_) {
    if (!block.in(bucket)) continue;
    block.offset = bucket.offset + bucket.size;
    bucket.size += up(block.shape.numel(), kBlockElements);
    bucket.last_user = std::max(bucket.last_user, block.last_user);
    std::int64_t at = block.offset;
    for (std::size_t i = block.first_part; i < block.first_part + block.parts; ++i) {
      logical_[i].offset = at;
      at += logical_[i].shape.numel();
    }
  }
  if (bucket.size == 0) return;
  bucket.size = up(bucket.size, kBlockElements * parts);
  arena_size_ += bucket.size;
  buckets_.push_back(bucket);
}

void ParameterStore::lay_out(const ArenaLayout& layout) {
  GRANULE_CHECK(!laid_out_, "parameters: laid out twice");
  laid_out_ = true;
  lay_out_units(layout, true);
  trainable_size_ = arena_size_;
  lay_out_units(layout, false);
}

void ParameterStore::lay_out_units(const ArenaLayout& layout, bool trainable) {
  for (std::int64_t unit = 0; unit < units(); ++unit) {
    Bucket bucket{.unit = unit, .last_user = unit, .trainable = trainable};
    lay_out_bucket(bucket, layout.dense_parts);
    bucket.group = ParameterGroup::expert;
    lay_out_bucket(bucket, layout.expert_parts);
  }
}

const State* ParameterStore::declare_state(const std::string& name, const Shape& shape) {
  GRANULE_CHECK(!laid_out_, "parameters: declared after they were laid out");
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

void ParameterStore::materialise(Context& context, Precision precision, Gradients gradients,
                                 Residence residence) {
  GRANULE_CHECK(!materialised_, "parameters: materialised twice");
  if (!laid_out_) lay_out({});
  materialised_ = true;
  precision_ = precision;
  const bool whole_gradients = gradients == Gradients::yes && residence == Residence::whole;
  if (residence != Residence::bound)
    values_ = Tensor::zeros(context, {arena_size_}, precision.values, MemoryCategory::weights);
  if (whole_gradients)
    gradients_ = Tensor::zeros(context, {trainable_size_}, precision.gradients, MemoryCategory::gradients);
  for (State& state : states_)
    state.value = Tensor::zeros(context, state.shape, DType::f32, MemoryCategory::weights);
  for (Block& block : blocks_) {
    if (values_.defined()) block.leaf.value = values_.slice(block.offset, block.shape);
    if (!block.trainable) continue;
    if (whole_gradients) block.leaf.grad.dst = gradients_.slice(block.offset, block.shape);
    block.leaf.bound_later = gradients == Gradients::yes && !whole_gradients;
  }
}

void ParameterStore::initialise(std::uint64_t seed, double initializer_range) {
  for (const LogicalTensor& tensor : logical_)
    fill_initial(tensor, 0, value_of(tensor), seed, initializer_range);
  for (const State& state : states_) fill_zero(state.value);
}

void ParameterStore::bind_values(const Bucket& bucket, const Tensor& buffer) {
  for (Block& block : blocks_) {
    if (!block.in(bucket)) continue;
    block.leaf.value = buffer.defined() ? buffer.slice(block.offset - bucket.offset, block.shape) : Tensor();
  }
}

void ParameterStore::bind_gradients(const Bucket& bucket, const Tensor& buffer) {
  GRANULE_CHECK(bucket.trainable, "parameters: frozen ones have no gradients");
  std::int64_t end = 0;  // in the buffer, the end of the blocks bound so far
  const auto zero_padding = [&](std::int64_t to) {
    if (buffer.defined() && to > end) fill_zero(buffer.slice(end, {to - end}));
  };
  for (Block& block : blocks_) {
    if (!block.in(bucket)) continue;
    block.leaf.grad = {};
    if (!buffer.defined()) continue;
    const std::int64_t begin = block.offset - bucket.offset;
    block.leaf.grad.dst = buffer.slice(begin, block.shape);
    zero_padding(begin);
    end = begin + block.shape.numel();
  }
  zero_padding(bucket.size);
}

void ParameterStore::begin_step() {
  for (Block& block : blocks_) block.leaf.grad.beta = 0.0;
}

void ParameterStore::finish_gradients() {
  for (Block& block : blocks_) {
    if (block.leaf.grad && block.leaf.grad.beta == 0.0) fill_zero(block.leaf.grad.dst);
  }
}

void ParameterStore::finish_gradients(const Bucket& bucket) {
  for (Block& block : blocks_) {
    if (!block.in(bucket) || !block.leaf.grad || block.leaf.grad.beta != 0.0) continue;
    fill_zero(block.leaf.grad.dst);
    block.leaf.grad.beta = 1.0;
  }
}

const LogicalTensor& ParameterStore::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  GRANULE_CHECK(found != by_name_.end(), "parameters: there is no {}", name);
  return logical_[found->second];
}

}  // namespace granule
