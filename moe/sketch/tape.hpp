// Tensors that have a size and no data, and a tape of operators that hold them as the real ones do. They show
// what a pass through a model keeps in memory, and when, without computing anything. They mirror
// autograd/tape.hpp, apply.hpp and recompute.hpp; sketch/ops.hpp says what each operator holds.
#pragma once
#include <any>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "core/allocator.hpp"
#include "core/memory_table.hpp"

namespace granule::sketch {

/// Bytes that a memory table counts as long as somebody holds them.
class Storage {
 public:
  Storage(MemoryTable& table, std::int64_t bytes, MemoryCategory category);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }

 private:
  MemoryTable& table_;
  std::int64_t bytes_;
  MemoryCategory category_;
};
using Tensor = std::shared_ptr<const Storage>;

using Slot = std::int32_t;
inline constexpr Slot kConstant = -1;
struct Var {
  Tensor value;
  Slot slot = kConstant;
};

class Tape;
class Sketch;

/// What an operator holds besides its inputs and its output.
struct Held {
  std::vector<Tensor> saved{};            ///< for backward
  std::int64_t backward_activations = 0;  ///< bytes while backward runs
  std::int64_t backward_scratch = 0;
  std::function<void(Sketch&)> backward{};  ///< only for an operator that needs more than these
};

using Node = std::function<void(Sketch&, Tape&)>;  ///< holds what it captures until it has run backwards

class Tape {
 public:
  [[nodiscard]] Slot new_slot();
  void push(Node node) { nodes_.push_back(std::move(node)); }
  /// Counts a slot's gradient of `bytes`, from its first contribution on.
  void add_contribution(Sketch& sketch, Slot slot, std::int64_t bytes);
  /// The same for a gradient that exists already.
  void add(Slot slot, Tensor gradient);
  [[nodiscard]] Tensor take(Slot slot);
  void backward(Sketch& sketch, const std::vector<Var>& outputs, const std::vector<Tensor>& seeds);

 private:
  std::vector<Tensor> gradients_;
  std::vector<Node> nodes_;
};

/// What a sketched pass uses: its memory table, its dtype and threads, and the tape that records it.
class Sketch {
 public:
  Sketch(std::int64_t element_bytes, std::int64_t threads)
      : element_bytes_(element_bytes), threads_(threads) {}

  [[nodiscard]] const MemoryTable& memory() const { return memory_; }
  [[nodiscard]] std::int64_t element_bytes() const { return element_bytes_; }
  [[nodiscard]] std::int64_t threads() const { return threads_; }
  [[nodiscard]] bool recording() const { return tape_ != nullptr; }

  [[nodiscard]] Tensor bytes(std::int64_t bytes, MemoryCategory category = MemoryCategory::activations);
  [[nodiscard]] Tensor reals(std::int64_t n) { return bytes(n * element_bytes_); }  ///< of the compute dtype
  [[nodiscard]] Tensor words(std::int64_t n) { return bytes(n * 4); }               ///< int32
  [[nodiscard]] Tensor longs(std::int64_t n) { return bytes(n * 8); }               ///< int64, float64
  [[nodiscard]] Tensor scratch(std::int64_t n) { return bytes(n * element_bytes_, MemoryCategory::scratch); }
  /// Bytes of a part of a workspace (core/workspace.hpp) with n elements of the compute dtype.
  [[nodiscard]] std::int64_t part(std::int64_t n) const { return align_up(n * element_bytes_); }
  /// A kernel runs and has so many bytes of workspace.
  void use_workspace(std::int64_t bytes) { static_cast<void>(this->bytes(bytes, MemoryCategory::scratch)); }

  /// Whether an operator takes a parameter. Then it always has a gradient to compute.
  enum class Takes : bool { inputs, parameter };
  /// Records an operator that made `output`, if a tape is current and a gradient is wanted.
  Var record(Takes takes, const std::vector<Var>& inputs, Tensor output, Held held = {});

  /// Records on another tape, or on none, for a scope.
  class Recording {
   public:
    Recording(Sketch& sketch, Tape* tape) : sketch_(sketch), before_(std::exchange(sketch.tape_, tape)) {}
    ~Recording() { sketch_.tape_ = before_; }
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Sketch& sketch_;
    Tape* before_;
  };
  [[nodiscard]] Tape* tape() const { return tape_; }

 private:
  MemoryTable memory_;
  std::int64_t element_bytes_, threads_;
  Tape* tape_ = nullptr;
};

/// What a region decides once. The first run makes it, and the second run gets it back.
class Kept {
 public:
  enum class Mode : std::uint8_t { pass, keep, replay };
  explicit Kept(Mode mode) : mode_(mode) {}
  template <class Make>
  auto once(const Make& make) {
    using Decision = std::invoke_result_t<const Make&>;
    if (mode_ == Mode::replay) return std::any_cast<Decision>(decisions_[cursor_++]);
    Decision decision = make();
    if (mode_ == Mode::keep) decisions_.emplace_back(decision);
    return decision;
  }
  void replay() {
    mode_ = Mode::replay;
    cursor_ = 0;
  }
  [[nodiscard]] bool replaying() const { return mode_ == Mode::replay; }

 private:
  Mode mode_;
  std::vector<std::any> decisions_{};
  std::size_t cursor_ = 0;
};
using Region = std::function<std::vector<Var>(Kept&, const Var& x)>;
[[nodiscard]] std::vector<Var> recompute(Sketch& sketch, const Region& region, const Var& x);

}  // namespace granule::sketch
