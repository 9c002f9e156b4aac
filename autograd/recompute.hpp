// Recomputation. A region runs without a tape and keeps only its inputs. When backward reaches it, it runs
// again and is recorded.
#pragma once
#include <any>
#include <functional>
#include <memory>
#include <type_traits>
#include <vector>

#include "autograd/tape.hpp"

namespace granule {

/// What a region must not decide twice, such as the routing of tokens. The first run makes it, and the second
/// run gets a copy of it back, in the same order.
class Kept {
 public:
  enum class Mode : std::uint8_t { pass, keep, replay };
  explicit Kept(Mode mode = Mode::pass) : mode_(mode) {}

  /// Returns make(), or what it returned in the first run.
  template <class Make>
  auto once(const Make& make) {
    using Decision = std::invoke_result_t<const Make&>;
    if (mode_ == Mode::replay) return std::any_cast<Decision>(next());
    Decision decision = make();
    if (mode_ == Mode::keep) decisions_.emplace_back(decision);
    return decision;
  }
  [[nodiscard]] bool replaying() const { return mode_ == Mode::replay; }
  void replay() { mode_ = Mode::replay; }

 private:
  [[nodiscard]] const std::any& next();
  Mode mode_;
  std::vector<std::any> decisions_;
  std::size_t cursor_ = 0;
};

using Region = std::function<std::vector<Var>(Kept&, const std::vector<Var>&)>;

/// Calls region(inputs), which is recomputed in backward. Only the inputs must be named; parameters that the
/// region uses keep their own gradients. Without a tape the region simply runs.
[[nodiscard]] std::vector<Var> recompute(const Region& region, const std::vector<Var>& inputs);

}  // namespace granule
