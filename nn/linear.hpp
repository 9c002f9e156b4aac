// A linear layer: y = x Wᵀ + b. It owns its weight and, if there is one, its bias.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "nn/parameters.hpp"

namespace granule {

/// For example, `Linear(store, 64, {{"q", 64}, {"k", 16}, {"v", 16}})` has one weight of shape [96, 64], and
/// q.weight is its first 64 rows. Several outputs share a weight, because one product is faster than three.
class Linear {
 public:
  enum class Bias : bool { no, yes };
  /// Some of the columns of y, and the prefix of their names.
  struct Output {
    std::string name;
    std::int64_t width;
  };
  /// Declares {name}.weight [width, inputs] of every output as one block, and {name}.bias [width] as another.
  Linear(ParameterStore& store, std::int64_t inputs, const std::vector<Output>& outputs,
         Bias bias = Bias::no);
  /// A layer whose weight [outputs, inputs] is declared elsewhere, such as a head that is the embedding.
  explicit Linear(Param weight) : weight_(weight) {}

  [[nodiscard]] Var operator()(const Var& x_ND) const;
  [[nodiscard]] Param weight() const { return weight_; }

 private:
  Param weight_;
  std::optional<Param> bias_;
};

}  // namespace granule
