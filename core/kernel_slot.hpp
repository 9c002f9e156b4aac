// The only device switch. Every function that computes on tensors is behind a slot, which has its CPU kernel
// from the start. A plug-in adds its own kernel when it is loaded. A device without a kernel is an error, and
// nothing falls back.
#pragma once
#include <array>
#include <string_view>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/fields.hpp"
#include "core/workspace.hpp"

namespace granule {

namespace detail {

/// Finds the tensor that decides where a kernel runs, and insists that the others are on the same device.
class ArgumentTensors {
 public:
  explicit ArgumentTensors(std::string_view slot) : slot_(slot) {}
  void operator()(const Tensor& tensor) const;
  void operator()(const Grad& grad) const { (*this)(grad.dst); }
  template <class T>
  void operator()(const T& /*not a tensor*/) const {}
  [[nodiscard]] const Tensor& first() const;

 private:
  std::string_view slot_;
  mutable const Tensor* first_ = nullptr;
};

[[noreturn]] void no_kernel(std::string_view slot);

}  // namespace detail

/// `Args` is a struct of what a kernel reads and writes: tensors, Grads and attributes. The kernel runs on
/// the device of the tensors. Undefined tensors are arguments that the call leaves out.
template <class Args>
class KernelSlot {
 public:
  using Plain = void (*)(const Args&);
  using WithWorkspace = void (*)(const Args&, Workspace&);
  /// Bytes of workspace of a call on so many threads.
  using WorkspaceBytes = std::int64_t (*)(const Args&, int threads);

  constexpr KernelSlot(std::string_view name, Plain cpu) : name_(name), kernels_{Kernel{cpu}} {}
  constexpr KernelSlot(std::string_view name, WithWorkspace cpu, WorkspaceBytes bytes)
      : name_(name), kernels_{Kernel{nullptr, cpu, bytes}} {}

  /// A plug-in calls it while it is loaded, before any rank runs.
  void fill(DeviceType device, Plain kernel) { of(device) = {kernel}; }
  void fill(DeviceType device, WithWorkspace kernel, WorkspaceBytes bytes) {
    of(device) = {nullptr, kernel, bytes};
  }
  [[nodiscard]] bool has(DeviceType device) const {
    const Kernel& kernel = kernels_[static_cast<std::size_t>(device)];
    return kernel.plain != nullptr || kernel.with_workspace != nullptr;
  }

  void operator()(const Args& args) const {
    const detail::ArgumentTensors tensors(name_);
    for_each_field(args, tensors);
    const Tensor& first = tensors.first();
    const Kernel& kernel = kernels_[static_cast<std::size_t>(first.device().type)];
    if (kernel.plain != nullptr) {
      kernel.plain(args);
    } else if (kernel.with_workspace != nullptr) {
      Workspace workspace(first.context(), kernel.bytes(args, first.context().pool().size()));
      kernel.with_workspace(args, workspace);
    } else {
      detail::no_kernel(name_);
    }
  }

 private:
  /// One of the two functions is set, or none if the device has no kernel.
  struct Kernel {
    Plain plain = nullptr;
    WithWorkspace with_workspace = nullptr;
    WorkspaceBytes bytes = nullptr;
  };
  [[nodiscard]] Kernel& of(DeviceType device) { return kernels_[static_cast<std::size_t>(device)]; }

  std::string_view name_;
  std::array<Kernel, kDeviceTypes> kernels_;
};

/// The older form, whose arguments have no names.
template <class... Args>
class KernelSlot<void(Args...)> {
 public:
  using Kernel = void (*)(Args...);
  constexpr KernelSlot(std::string_view name, Kernel cpu) : name_(name), kernels_{cpu, nullptr} {}
  void fill(DeviceType device, Kernel kernel) { kernels_[static_cast<std::size_t>(device)] = kernel; }
  [[nodiscard]] bool has(DeviceType device) const {
    return kernels_[static_cast<std::size_t>(device)] != nullptr;
  }
  void operator()(Device device, Args... args) const {
    const Kernel kernel = kernels_[static_cast<std::size_t>(device.type)];
    GRANULE_CHECK(kernel != nullptr, "{}: no kernel for this device", name_);
    kernel(args...);
  }

 private:
  std::string_view name_;
  std::array<Kernel, kDeviceTypes> kernels_;
};

}  // namespace granule
