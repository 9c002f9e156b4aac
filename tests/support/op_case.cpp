#include "tests/support/op_case.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/gradcheck.hpp"

namespace granule::test::detail {
namespace {

using Record = BoundOp::Record;

constexpr std::int64_t kStepMemory = std::int64_t{256} << 20;
/// Numbers far below 1, the size of the operands, are compared absolutely.
constexpr double kFloor = 1e-2;
/// Operands with more elements, or on a slow device, are differentiated in random directions, and not element
/// by element.
constexpr std::size_t kManyElements = 256;

/// The numbers rounded so that every dtype has them.
Numbers in_bf16(Numbers values) {
  for (double& value : values) value = static_cast<double>(widened(granule::bf16(static_cast<float>(value))));
  return values;
}

ContextOptions options(int threads) {
  return {.threads = threads, .poison = Poison::yes, .step_memory = kStepMemory};
}

/// The operator in one Context and dtype. Its operands are fenced, and it is run forward once and recorded.
class Run {
 public:
  Run(const std::vector<Operand>& operands, const Bind& bind, DType dtype, int threads)
      : context_(options(threads)), op_(bind(context_, dtype)) {
    for (const Operand& operand : operands) {
      fences_.emplace_back(context_, operand.shape, operand.dtype(dtype), operand.values);
      tensors_.push_back(fences_.back().tensor());
      gradient_dtypes_.push_back(operand.gradient_dtype(dtype));
    }
    for (const Tensor& tensor : tensors_) digests_.push_back(digest_of(tensor));
    y_ = op_->forward(tensors_, Record::yes);
    dy_ = Fenced(context_, y_.shape(), y_.dtype(), in_bf16(normal_values(y_.numel(), 77))).tensor();
    for (const Tensor& tensor : {y_, dy_}) digests_.push_back(digest_of(tensor));
  }

  /// Computes gradients into fenced destinations full of NaN with beta 0. One that is not wanted stays
  /// undefined.
  std::vector<Tensor> gradients(const std::vector<bool>& wanted) {
    std::vector<Fenced> fences;
    std::vector<Grad> grads;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      fences.emplace_back(context_, tensors_[i].shape(), gradient_dtypes_[i]);
      grads.push_back(wanted[i] ? Grad{fences[i].tensor(), 0.0} : Grad{});
    }
    op_->backward(tensors_, dy_, grads);
    std::vector<Tensor> results;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      INFO("operand " << i);
      CHECK(fences[i].intact());
      results.push_back(grads[i].dst);
    }
    return results;
  }
  std::vector<Tensor> gradients() { return gradients(std::vector<bool>(tensors_.size(), true)); }

  /// The destinations after gradients with beta 1, if they contained `before`.
  std::vector<Tensor> added_to(const std::vector<Numbers>& before) {
    std::vector<Fenced> fences;
    std::vector<Grad> grads;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      fences.emplace_back(context_, tensors_[i].shape(), gradient_dtypes_[i], before[i]);
      grads.push_back({fences[i].tensor(), 1.0});
    }
    op_->backward(tensors_, dy_, grads);
    std::vector<Tensor> results;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      INFO("operand " << i);
      CHECK(fences[i].intact());
      results.push_back(grads[i].dst);
    }
    return results;
  }

  /// Forward and gradients through apply() and a tape.
  std::pair<Tensor, std::vector<Tensor>> on_a_tape() {
    Tape tape;
    std::vector<Var> vars;
    std::vector<Leaf> leaves(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      vars.push_back(tape.input(tensors_[i]));
      leaves[i].value = tensors_[i];
      leaves[i].grad = {Fenced(context_, tensors_[i].shape(), gradient_dtypes_[i]).tensor(), 0.0};
    }
    const Recording on(&tape);
    const Var y = op_->apply_to(vars, leaves);
    const std::array outputs{y};
    const std::array seeds{tensor_of(context_, y.value.shape(), y.value.dtype(), values_of(dy_))};
    tape.backward(outputs, seeds);
    std::vector<Tensor> grads;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      Tensor grad = tape.take_grad(vars[i].slot);
      grads.push_back(grad.defined() ? grad : leaves[i].grad.dst);
    }
    return {y.value, grads};
  }

  /// Σ dy ∘ y with operand i set to `values`. Only for f64.
  double loss_with(std::size_t i, std::span<const double> values) {
    write_values(values, tensors_[i]);
    const Numbers y = values_of(op_->forward(tensors_, Record::no)), dy = values_of(dy_);
    double loss = 0.0;
    for (std::size_t j = 0; j < y.size(); ++j) loss += y[j] * dy[j];
    return loss;
  }

  Tensor unrecorded() { return op_->forward(tensors_, Record::no); }
  [[nodiscard]] const Tensor& y() const { return y_; }
  [[nodiscard]] bool inputs_untouched() const { return digests() == digests_; }
  [[nodiscard]] Context& context() { return context_; }
  [[nodiscard]] std::size_t operands() const { return tensors_.size(); }

 private:
  [[nodiscard]] std::vector<std::uint64_t> digests() const {
    std::vector<std::uint64_t> all;
    for (const Tensor& tensor : tensors_) all.push_back(digest_of(tensor));
    for (const Tensor& tensor : {y_, dy_}) all.push_back(digest_of(tensor));
    return all;
  }

  TestContext context_;
  std::unique_ptr<BoundOp> op_;
  std::vector<Fenced> fences_;
  std::vector<Tensor> tensors_;
  std::vector<DType> gradient_dtypes_;
  Tensor y_, dy_;
  std::vector<std::uint64_t> digests_;
};

void check_same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("operand " << i);
    CHECK(same_bits(a[i], b[i]));
  }
}

void check_forward(const OpCase& op_case, const std::vector<Operand>& operands, const Reference& reference,
                   Run& run, double tolerance) {
  INFO(op_case.name << ": forward against the reference");
  std::vector<Numbers> numbers;
  for (const Operand& operand : operands) numbers.push_back(operand.values);
  CHECK(relative_difference(values_of(run.y()), reference(numbers), kFloor) <= tolerance);
  INFO("unrecorded and recorded forward differ");
  CHECK(same_bits(run.unrecorded(), run.y()));
}

void check_differences(const OpCase& op_case, const std::vector<Operand>& operands, Run& run) {
  const std::vector<Tensor> gradients = run.gradients();
  for (std::size_t i = 0; i < operands.size(); ++i) {
    INFO(op_case.name << ": gradient of operand " << i << " against central differences");
    const Numbers& x = operands[i].values;
    const Numbers gradient = values_of(gradients[i]);
    const ScalarFunction loss = [&](std::span<const double> values) { return run.loss_with(i, values); };
    if (x.size() <= kManyElements && !computes_slowly()) {
      CHECK(relative_difference(gradient, central_differences(loss, x), kFloor) <=
            op_case.gradient_tolerance);
    } else {
      const Numbers direction = normal_values(static_cast<std::int64_t>(x.size()), 99 + i);
      double expected = 0.0, square = 0.0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        expected += gradient[j] * direction[j];
        square += gradient[j] * direction[j] * gradient[j] * direction[j];
      }
      const double error = std::abs(directional_difference(loss, x, direction) - expected);
      CHECK(error <= op_case.gradient_tolerance * std::max(std::sqrt(square), kFloor));
    }
    run.loss_with(i, x);  // puts the operand back
  }
}

void check_destinations(const OpCase& op_case, Run& run, double tolerance) {
  const std::vector<Tensor> gradients = run.gradients();
  {
    INFO(op_case.name << ": a second backward gives other bits: something saved was written to");
    check_same_bits(run.gradients(), gradients);
  }
  std::vector<Numbers> before, sum;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    before.push_back(normal_values(gradients[i].numel(), 1000 + i));
    sum.push_back(values_of(gradients[i]));
    for (std::size_t j = 0; j < sum[i].size(); ++j) sum[i][j] += before[i][j];
  }
  const std::vector<Tensor> added = run.added_to(before);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    INFO(op_case.name << ": beta 1 into operand " << i);
    CHECK(relative_difference(values_of(added[i]), sum[i], kFloor) <= tolerance);
  }
}

void check_frozen(const OpCase& op_case, Run& run) {
  const std::vector<Tensor> all = run.gradients();
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const bool alone : {false, true}) {
      INFO(op_case.name << ": gradient " << i << (alone ? " alone" : " absent"));
      std::vector<bool> wanted(all.size(), !alone);
      wanted[i] = alone;
      const std::vector<Tensor> some = run.gradients(wanted);
      for (std::size_t j = 0; j < all.size(); ++j) CHECK((!wanted[j] || same_bits(some[j], all[j])));
    }
  }
}

void check_tape(const OpCase& op_case, Run& run) {
  INFO(op_case.name << ": through apply() and a tape");
  const auto [y, gradients] = run.on_a_tape();
  CHECK(same_bits(y, run.y()));
  check_same_bits(gradients, run.gradients());
}

void check_threads(const OpCase& op_case, const std::vector<Operand>& operands, const Bind& bind, DType dtype,
                   Run& one_thread) {
  for (const int threads : {2, 3}) {
    INFO(op_case.name << ": " << threads << " threads against one");
    Run run(operands, bind, dtype, threads);
    CHECK(same_bits(run.y(), one_thread.y()));
    check_same_bits(run.gradients(), one_thread.gradients());
  }
}

void check_gradients(const OpCase& op_case, Run& run, Run& f64, double tolerance) {
  const std::vector<Tensor> narrow = run.gradients(), wide = f64.gradients();
  for (std::size_t i = 0; i < narrow.size(); ++i) {
    INFO(op_case.name << ": " << name_of(narrow[i].dtype()) << " gradient of operand " << i
                      << " against f64");
    CHECK(relative_difference(values_of(narrow[i]), values_of(wide[i]), kFloor) <= tolerance);
  }
}

void check_clean(const OpCase& op_case, Run& run) {
  INFO(op_case.name << ": an input or dy was written to");
  CHECK(run.inputs_untouched());
  INFO(op_case.name << ": written past the end of an allocation");
  CHECK(run.context().step_memory().damaged_blocks() == 0);
}

double tolerance_of(const OpCase& op_case, DType dtype) {
  if (dtype == DType::f64) return op_case.f64_tolerance;
  return dtype == DType::f32 ? op_case.f32_tolerance : op_case.bf16_tolerance;
}

/// Everything that is checked in one dtype.
void check_run(const OpCase& op_case, const std::vector<Operand>& operands, const Bind& bind,
               const Reference& reference, DType dtype, Run& run) {
  const double tolerance = tolerance_of(op_case, dtype);
  INFO(name_of(dtype));
  check_forward(op_case, operands, reference, run, tolerance);
  check_destinations(op_case, run, tolerance);
  check_frozen(op_case, run);
  check_tape(op_case, run);
  if (!computes_slowly()) check_threads(op_case, operands, bind, dtype, run);  // a device has none
  if (dtype == DType::f64) check_differences(op_case, operands, run);
  check_clean(op_case, run);
}

void check_wide(const OpCase& op_case, const std::vector<Operand>& operands, const Bind& bind,
                const Reference& reference) {
  Run f64(operands, bind, DType::f64, 1);
  check_run(op_case, operands, bind, reference, DType::f64, f64);
  Run f32(operands, bind, DType::f32, 1);
  check_run(op_case, operands, bind, reference, DType::f32, f32);
  check_gradients(op_case, f32, f64, op_case.f32_tolerance);
}

/// The bounds are those of the case on every device: each rounds where the operator says, and adds in
/// float32. So another order of sums differs by roundings that are 2¹⁶ times smaller.
void check_bf16(const OpCase& op_case, std::vector<Operand> operands, const Bind& bind,
                const Reference& reference) {
  for (Operand& operand : operands)
    if (!operand.wide) operand.values = in_bf16(operand.values);
  Run exact(operands, bind, DType::f64, 1), run(operands, bind, DType::bf16, 1);
  check_run(op_case, operands, bind, reference, DType::bf16, run);
  check_gradients(op_case, run, exact, op_case.bf16_tolerance);
}

}  // namespace

void check_bound(const OpCase& op_case, std::vector<Operand> operands, const Bind& bind,
                 const Reference& reference) {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    Operand& operand = operands[i];
    if (operand.values.empty()) operand.values = normal_values(operand.shape.numel(), i + 1, operand.scale);
  }
  check_wide(op_case, operands, bind, reference);
  if (op_case.bf16) check_bf16(op_case, operands, bind, reference);
}

}  // namespace granule::test::detail
