// Tests the operator check itself. An operator has one planted fault at a time, and the check must find each
// of them.
#include "tests/support/op_case.hpp"

#include "core/kernels/accumulate.hpp"
#include "tests/support/catch.hpp"

using namespace granule;
using namespace granule::test;

namespace {

enum class Fault : std::uint8_t {
  none,
  wrong_value,
  wrong_gradient,
  reads_destination,
  ignores_beta,
  writes_input,
  writes_saved,
  unrecorded_differs,
  past_destination,
  before_destination,
  depends_on_threads,
  wants_every_gradient,
};

struct SavedInput {
  Tensor x;
};

struct ForwardArgs {
  Tensor x, w, y;
  bool recorded;
};
struct BackwardArgs {
  Tensor x, w, dy;
  Grad dx, dw;
};

template <class T>
std::span<T> elements(const Tensor& tensor) {
  return {tensor.data<T>(), static_cast<std::size_t>(tensor.numel())};
}

template <Fault kFault>
void forward_kernel(const ForwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() {
    const auto in = elements<T>(args.x), weight = elements<T>(args.w), out = elements<T>(args.y);
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = weight[i % weight.size()] * in[i] + in[i] * in[i];
    if (kFault == Fault::wrong_value) out.back() *= T(1.0001);
    if (kFault == Fault::unrecorded_differs && !args.recorded) out[0] *= T(1) + T(1e-6);
    if (kFault == Fault::writes_input) in[0] += T(1);
    if (kFault == Fault::depends_on_threads) out[0] += T(1e-14) * T(args.x.context().pool().size());
  });
}

template <Fault kFault, class T>
void put(const Grad& grad, std::size_t i, T value) {
  const bool read = kFault == Fault::reads_destination || grad.beta != 0.0;
  T& to = grad.dst.data<T>()[i];
  to = read && kFault != Fault::ignores_beta ? value + T(grad.beta) * to : value;
}

template <Fault kFault>
void backward_kernel(const BackwardArgs& args) {
  dispatch_float(args.dy.dtype(), [&]<class T>() {
    const auto x = elements<T>(args.x), weight = elements<T>(args.w), g = elements<T>(args.dy);
    const std::size_t width = weight.size();
    const bool skewed = kFault == Fault::wants_every_gradient && !(args.dx && args.dw);
    for (std::size_t i = 0; args.dx && i < x.size(); ++i) {
      const T slope = weight[i % width] + T(kFault == Fault::wrong_gradient ? 2.00001 : 2) * x[i];
      put<kFault>(args.dx, i, g[i] * slope * (skewed ? T(2) : T(1)));
    }
    for (std::size_t j = 0; args.dw && j < width; ++j) {
      T sum = 0;
      for (std::size_t i = j; i < x.size(); i += width) sum += g[i] * x[i];
      put<kFault>(args.dw, j, sum);
    }
    if (kFault == Fault::writes_saved) x[0] += T(1);
    if (kFault == Fault::past_destination && args.dw) args.dw.dst.data<T>()[width] = T(0);
    if (kFault == Fault::before_destination && args.dx) args.dx.dst.data<T>()[-1] = T(0);
  });
}

///   y_ij = w_j x_ij + x_ij², with a fault.   dx_ij = dy_ij (w_j + 2 x_ij),   dw_j = Σ_i dy_ij x_ij.
template <Fault kFault>
struct Faulty {
  static constexpr std::string_view kName = "faulty";
  using Saved = SavedInput;
  static constexpr KernelSlot<ForwardArgs> kForward{"faulty", forward_kernel<kFault>};
  static constexpr KernelSlot<BackwardArgs> kBackward{"faulty backward", backward_kernel<kFault>};

  Tensor forward(Saved* saved, const Tensor& x, const Tensor& w) const {
    Tensor y = x.empty_like(x.shape());
    kForward({x, w, y, saved != nullptr});
    if (saved != nullptr) saved->x = x.empty_like(x.shape());
    if (saved != nullptr) accumulate(x, {saved->x, 0.0});
    return y;
  }
  void backward(const Saved& saved, const Tensor& w, const Tensor& dy, const Grad& dx, const Grad& dw) const {
    kBackward({saved.x, w, dy, dx, dw});
  }
};

template <Fault kFault>
void check_faulty() {
#if defined(__SANITIZE_ADDRESS__)
  if (kFault == Fault::past_destination || kFault == Fault::before_destination)
    FAIL("AddressSanitizer would end the program");
#endif
  const Reference reference = [](const std::vector<Numbers>& in) {
    Numbers y = in[0];
    for (std::size_t i = 0; i < y.size(); ++i) y[i] *= in[1][i % in[1].size()] + y[i];
    return y;
  };
  check_op({"faulty"}, Faulty<kFault>{}, reference, variable({4, 3}), parameter({3}));
}

}  // namespace

TEST_CASE("op_case: the operator check passes an operator without a fault") {
  check_faulty<Fault::none>();
}

TEMPLATE_TEST_CASE_SIG("the operator check finds a planted fault", "[!shouldfail]", ((Fault F), F),
                       Fault::wrong_value, Fault::wrong_gradient, Fault::reads_destination,
                       Fault::ignores_beta, Fault::writes_input, Fault::writes_saved,
                       Fault::unrecorded_differs, Fault::past_destination, Fault::before_destination,
                       Fault::depends_on_threads, Fault::wants_every_gradient) {
  check_faulty<F>();
}
