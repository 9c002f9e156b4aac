// The Gaussian error linear unit (Hendrycks & Gimpel 2016, arXiv 1606.08415), element by element.
#pragma once
#include <cstdint>

#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// PyTorch's argument `approximate` of gelu: "none" is the exact function, "tanh" the approximation of GPT-2.
enum class GeluApproximate : std::uint8_t { none, tanh };

/// Let Φ and φ be the normal distribution and its density:
///   none   y = x Φ(x),                          dx = dy (Φ(x) + x φ(x))
/// Let u = √(2/π) (x + 0.044715 x³) and t = tanh u:
///   tanh   y = ½ x (1 + t),                     dx = dy (½ (1 + t) + ½ x (1 − t²) du/dx)
struct Gelu {
  GeluApproximate approximate = GeluApproximate::none;

  static constexpr std::string_view kName = "gelu";
  struct Saved {
    Tensor x;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& dx) const;

  struct ForwardArgs {
    GeluApproximate approximate;
    Tensor x, y;
  };
  struct BackwardArgs {
    GeluApproximate approximate;
    Tensor x, dy;
    Grad dx;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
