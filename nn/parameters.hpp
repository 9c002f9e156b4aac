// The only registry of parameters. Everything is declared first (name, shape, initial values, group). Then it
// is laid out and allocated once, as one flat arena of values and one of gradients. A *block* has the layout
// that kernels need (fused q|k|v, all experts of a layer). The names that users know, those of Hugging Face,
// are contiguous ranges of blocks: *logical tensors*. Modules hold handles, and there is no unregistered
// parameter. Code that shards an arena holds it in place of the store, and binds buckets while they are used.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "autograd/var.hpp"
#include "nn/parameter_layout.hpp"

namespace granule {

/// What a parameter is decides its initial values (matrix: N(0, initializer_range); norm: 1; bias: 0). It
/// also decides whether it decays with `optim.decay_norms = false`: only matrices do.
enum class ParameterRole : std::uint8_t { matrix, norm, bias };
enum class Gradients : bool { no, yes };

/// What the store holds itself, in whole arenas: values and gradients, values alone, or neither. The rest is
/// where it was bound last.
enum class Residence : std::uint8_t { whole, whole_values, bound };

/// A tensor with a name that users know. It is `numel(shape)` elements from `offset` of the arena, which is
/// known once it is laid out.
struct LogicalTensor {
  std::string name;
  Shape shape;
  ParameterRole role;
  ParameterGroup group;
  std::int64_t offset;
  bool trainable = true;
};

/// A block to declare. Its parts, in order, fill it exactly.
struct BlockSpec {
  struct Part {
    std::string name;
    Shape shape;
  };
  Shape shape;
  std::vector<Part> parts;
  ParameterRole role = ParameterRole::matrix;
  ParameterGroup group = ParameterGroup::dense;
  /// A frozen block has values like any other, but no gradient and no state of an optimizer.
  bool trainable = true;
};

/// Values of a model that are not parameters, such as a router's selection bias. They are float32 for every
/// compute dtype, zero at first, and have no gradient. They are saved and loaded with the parameters, but not
/// counted among them.
struct State {
  std::string name;
  Shape shape;
  Tensor value;
};

class ParameterStore {
 public:
  /// Throws if the parts do not fill the block, or if a name is taken. Only before materialise.
  Param declare(const BlockSpec& spec);
  /// A block of one part.
  Param declare(const std::string& name, const Shape& shape, ParameterRole role = ParameterRole::matrix);

  /// The handle stays valid. Its value is there after materialise.
  const State* declare_state(const std::string& name, const Shape& shape);

  /// Later declarations belong to the next unit. The first unit is 0.
  void next_unit() { ++unit_; }
  /// The current unit uses a parameter of an earlier one: a head that is the embedding.
  void use_again(Param parameter);

  /// Gives every block its place. Call it once, after the last declaration.
  void lay_out(const ArenaLayout& layout);
  /// Allocates the arenas that are held as a whole, with padding zeroed. If nothing was laid out yet, it lays
  /// out for one rank. Values are undefined until initialise() or a load.
  void materialise(Context& context, Precision precision, Gradients gradients,
                   Residence residence = Residence::whole);
  /// Sets initial values, which must be held as a whole. Number i of a logical tensor is a function of (seed,
  /// its name, i) and does not depend on the layout.
  void initialise(std::uint64_t seed, double initializer_range);

  /// From now on the values, or gradients, of a bucket are in `buffer` [bucket.size]. An undefined buffer
  /// means nowhere. The first contributions overwrite gradients that were bound, and their padding is zeroed.
  void bind_values(const Bucket& bucket, const Tensor& buffer);
  void bind_gradients(const Bucket& bucket, const Tensor& buffer);

  /// The next contribution overwrites every gradient.
  void begin_step();
  /// Zeroes the gradients that nobody contributed to since begin_step. A parameter that was not used must not
  /// keep an old one.
  void finish_gradients();
  /// The same for one bucket.
  void finish_gradients(const Bucket& bucket);

  [[nodiscard]] std::span<const Bucket> buckets() const { return buckets_; }  ///< after lay_out
  [[nodiscard]] std::int64_t units() const { return unit_ + 1; }
  [[nodiscard]] const Precision& precision() const { return precision_; }  ///< after materialise
  /// Elements of the arena, padding included, after lay_out. The first trainable_size() of them are
  /// trainable.
  [[nodiscard]] std::int64_t arena_size() const { return arena_size_; }
  [[nodiscard]] std::int64_t trainable_size() const { return trainable_size_; }

  /// Flat, with padding. Undefined unless they are held as a whole.
  [[nodiscard]] const Tensor& values() const { return values_; }
  [[nodiscard]] const Tensor& gradients() const { return gradients_; }  ///< [trainable_size()]
  [[nodiscard]] std::span<const LogicalTensor> logical() const { return logical_; }
  [[nodiscard]] Tensor value_of(const LogicalTensor& tensor) const {
    return values_.slice(tensor.offset, tensor.shape);
  }
  /// Undefined if the tensor is frozen.
  [[nodiscard]] Tensor gradient_of(const LogicalTensor& tensor) const {
    return tensor.trainable ? gradients_.slice(tensor.offset, tensor.shape) : Tensor();
  }
  [[nodiscard]] const std::deque<State>& states() const { return states_; }
  [[nodiscard]] bool has(const std::string& name) const { return by_name_.contains(name); }  ///< a parameter
  [[nodiscard]] bool has_state(const std::string& name) const;
  /// Throws if there is no state of that name.
  [[nodiscard]] const State& state(const std::string& name) const;
  /// Throws if there is no tensor of that name.
  [[nodiscard]] const LogicalTensor& find(const std::string& name) const;
  [[nodiscard]] std::int64_t count() const { return count_; }  ///< parameters, padding not counted

 private:
  struct Block {
    Leaf leaf;
    Shape shape;
    ParameterGroup group;
    bool trainable;
    std::int64_t unit, last_user;
    std::size_t first_part, parts;  // range of its logical tensors
    std::int64_t offset = 0;
    [[nodiscard]] bool in(const Bucket& bucket) const {
      return unit == bucket.unit && group == bucket.group && trainable == bucket.trainable;
    }
  };
  void append_parts(const BlockSpec& spec);
  void lay_out_units(const ArenaLayout& layout, bool trainable);
  void lay_out_bucket(Bucket bucket, std::int64_t parts);

  std::deque<Block> blocks_;  // deques keep the addresses that handles point to
  std::deque<State> states_;
  std::vector<LogicalTensor> logical_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::vector<Bucket> buckets_;
  std::int64_t unit_ = 0;
  std::int64_t arena_size_ = 0, trainable_size_ = 0;
  std::int64_t count_ = 0;
  bool laid_out_ = false, materialised_ = false;
  Precision precision_ = DType::f32;
  Tensor values_, gradients_;
};

/// Writes initial values of elements [begin, begin + numel(out)) of a logical tensor.
void fill_initial(const LogicalTensor& tensor, std::int64_t begin, const Tensor& out, std::uint64_t seed,
                  double initializer_range);

}  // namespace granule
