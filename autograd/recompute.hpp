// Recomputation: a region runs without a tape, keeps only its inputs, and runs again, recorded, when backward
// reaches it.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "autograd/tape.hpp"

namespace granule {

/// What a region must not decide twice, such as the routing of tokens: made in the first run, handed back, in
/// the same order, in the second.
class Kept {
 public:
  enum class Mode : std::uint8_t { pass, keep, replay };
  explicit Kept(Mode mode = Mode::pass) : mode_(mode) {}

  template <class Make>
  Tensor once(const Make& make) {
    if (mode_ == Mode::replay) return next();
    Tensor tensor = make();
    if (mode_ == Mode::keep) tensors_.push_back(tensor);
    return tensor;
  }
  [[nodiscard]] bool replaying() const { return mode_ == Mode::replay; }
  void replay() { mode_ = Mode::replay; }

 private:
  Tensor next();
  Mode mode_;
  std::vector<Tensor> tensors_;
  std::size_t cursor_ = 0;
};

using Region = std::function<std::vector<Var>(Kept&, const std::vector<Var>&)>;

/// region(inputs), recomputed in backward. Parameters used inside keep their own gradients; only the inputs
/// have to be named. Without a tape the region simply runs.
[[nodiscard]] std::vector<Var> recompute(const Region& region, const std::vector<Var>& inputs);

}  // namespace granule
