// The only registry of parameters. Everything is declared first (name, shape, initial values, group), then
// materialised once into one flat arena of values and one of gradients. A *block* is laid out as kernels want
// it (fused q|k|v, all experts of a layer); the names users know, those of Hugging Face, are contiguous
// sub-ranges of blocks: *logical tensors*. Modules hold handles; there is no unregistered parameter.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/var.hpp"

namespace granule {

enum class ParameterGroup : std::uint8_t { dense, expert };
/// What a parameter is decides its initial values (matrix: N(0, initializer_range); norm: 1; bias: 0) and
/// whether it decays with `optim.decay_norms = false` (matrices only).
enum class ParameterRole : std::uint8_t { matrix, norm, bias };
enum class Gradients : bool { no, yes };

/// A named tensor of users: `numel(shape)` elements from `offset` of the arena.
struct LogicalTensor {
  std::string name;
  Shape shape;
  ParameterRole role;
  ParameterGroup group;
  std::int64_t offset;
};

/// A block to declare: its parts, in order, fill it exactly.
struct BlockSpec {
  struct Part {
    std::string name;
    Shape shape;
  };
  Shape shape;
  std::vector<Part> parts;
  ParameterRole role = ParameterRole::matrix;
  ParameterGroup group = ParameterGroup::dense;
};

/// What a model keeps beside its parameters: float32 whatever the compute dtype, zero at first, no gradient.
/// It is saved and loaded with them and not counted among them (a router's selection bias).
struct State {
  std::string name;
  Shape shape;
  Tensor value;
};

class ParameterStore {
 public:
  /// Throws when the parts do not fill the block or a name is taken. Only before materialise.
  Param declare(const BlockSpec& spec);
  /// A block of one part.
  Param declare(const std::string& name, const Shape& shape, ParameterRole role = ParameterRole::matrix);

  /// The handle stays valid; its value is there after materialise.
  const State* declare_state(const std::string& name, const Shape& shape);

  /// Allocates the arenas, padding zeroed. Values are undefined until initialise() or a load.
  void materialise(Context& context, DType dtype, Gradients gradients);
  /// Initial values: number i of a logical tensor is a function of (seed, its name, i), whatever the layout.
  void initialise(std::uint64_t seed, double initializer_range);

  /// Every gradient is overwritten by its next contribution.
  void begin_step();
  /// Zeroes the gradients nobody contributed to since begin_step: an idle parameter must not keep an old one.
  void finish_gradients();

  [[nodiscard]] const Tensor& values() const { return values_; }        ///< flat, padding included
  [[nodiscard]] const Tensor& gradients() const { return gradients_; }  ///< flat, padding included
  [[nodiscard]] std::span<const LogicalTensor> logical() const { return logical_; }
  [[nodiscard]] Tensor value_of(const LogicalTensor& tensor) const {
    return values_.slice(tensor.offset, tensor.shape);
  }
  [[nodiscard]] Tensor gradient_of(const LogicalTensor& tensor) const {
    return gradients_.slice(tensor.offset, tensor.shape);
  }
  [[nodiscard]] const std::deque<State>& states() const { return states_; }
  [[nodiscard]] bool has(const std::string& name) const { return by_name_.contains(name); }  ///< a parameter
  [[nodiscard]] bool has_state(const std::string& name) const;
  /// Throws when there is none of that name.
  [[nodiscard]] const State& state(const std::string& name) const;
  /// Throws when there is none of that name.
  [[nodiscard]] const LogicalTensor& find(const std::string& name) const;
  [[nodiscard]] std::int64_t count() const { return count_; }  ///< parameters, padding not counted

 private:
  struct Block {
    Leaf leaf;
    Shape shape;
    std::int64_t offset;
  };
  void append_parts(const BlockSpec& spec, std::int64_t offset);

  std::deque<Block> blocks_;  // deques keep the addresses that handles hold
  std::deque<State> states_;
  std::vector<LogicalTensor> logical_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::int64_t arena_size_ = 0;
  std::int64_t count_ = 0;
  Tensor values_, gradients_;
};

}  // namespace granule
