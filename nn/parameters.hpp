// The only registry of parameters. Everything is declared first (name, shape, initial values, group), then
// laid out and materialised once into one flat arena of values and one of gradients. A *block* is laid out as
// kernels want it (fused q|k|v, all experts of a layer); the names users know, those of Hugging Face, are
// contiguous sub-ranges of blocks: *logical tensors*. Modules hold handles; there is no unregistered
// parameter. Who shards an arena holds it in place of the store, and binds buckets while they are used.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/var.hpp"
#include "nn/parameter_layout.hpp"

namespace granule {

/// What a parameter is decides its initial values (matrix: N(0, initializer_range); norm: 1; bias: 0) and
/// whether it decays with `optim.decay_norms = false` (matrices only).
enum class ParameterRole : std::uint8_t { matrix, norm, bias };
enum class Gradients : bool { no, yes };

/// Where values or gradients are: in a whole arena of the store's own, or where they were bound last.
enum class Held : std::uint8_t { whole, bound };
struct Residence {
  Held values = Held::whole, gradients = Held::whole;
};

/// A named tensor of users: `numel(shape)` elements from `offset` of the arena, known once it is laid out.
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

  /// What is declared from now on belongs to the next unit; the first is unit 0.
  void next_unit() { ++unit_; }
  /// The current unit uses a parameter of an earlier one: a head that is the embedding.
  void use_again(Param parameter);

  /// Gives every block its place. Once, after the last declaration.
  void lay_out(const ArenaLayout& layout);
  /// Allocates the arenas that are held whole, padding zeroed; lays out for one rank unless that is done.
  /// Values are undefined until initialise() or a load.
  void materialise(Context& context, DType dtype, Gradients gradients, Residence residence = {});
  /// Initial values: number i of a logical tensor is a function of (seed, its name, i), whatever the layout.
  /// Of values held whole.
  void initialise(std::uint64_t seed, double initializer_range);

  /// Values, or gradients, of a bucket are in `buffer` [bucket.size] from now on; undefined: nowhere.
  /// Gradients bound are overwritten by their first contributions, their padding is zeroed.
  void bind_values(const Bucket& bucket, const Tensor& buffer);
  void bind_gradients(const Bucket& bucket, const Tensor& buffer);

  /// Every gradient is overwritten by its next contribution.
  void begin_step();
  /// Zeroes the gradients nobody contributed to since begin_step: an idle parameter must not keep an old one.
  void finish_gradients();
  /// The same for one bucket.
  void finish_gradients(const Bucket& bucket);

  [[nodiscard]] std::span<const Bucket> buckets() const { return buckets_; }  ///< after lay_out
  [[nodiscard]] std::int64_t units() const { return unit_ + 1; }
  [[nodiscard]] std::int64_t arena_size() const { return arena_size_; }  ///< padding included; after lay_out

  /// Flat, padding included; undefined unless held whole.
  [[nodiscard]] const Tensor& values() const { return values_; }
  [[nodiscard]] const Tensor& gradients() const { return gradients_; }
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
    ParameterGroup group;
    std::int64_t unit, last_user;
    std::size_t first_part, parts;  // its logical tensors
    std::int64_t offset = 0;
    [[nodiscard]] bool in(const Bucket& bucket) const { return unit == bucket.unit && group == bucket.group; }
  };
  void append_parts(const BlockSpec& spec);
  void lay_out_bucket(std::int64_t unit, ParameterGroup group, std::int64_t parts);

  std::deque<Block> blocks_;  // deques keep the addresses that handles hold
  std::deque<State> states_;
  std::vector<LogicalTensor> logical_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::vector<Bucket> buckets_;
  std::int64_t unit_ = 0;
  std::int64_t arena_size_ = 0;
  std::int64_t count_ = 0;
  bool laid_out_ = false, materialised_ = false;
  Tensor values_, gradients_;
};

/// Initial values of elements [begin, begin + numel(out)) of a logical tensor.
void fill_initial(const LogicalTensor& tensor, std::int64_t begin, const Tensor& out, std::uint64_t seed,
                  double initializer_range);

}  // namespace granule
