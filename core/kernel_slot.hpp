// The only device switch. Every function that computes on tensors is behind a slot, which has its CPU kernel
// from the start. A plug-in adds its own kernel when it is loaded. A device without a kernel is an error, and
// nothing falls back. On the meta device a call only allocates its workspace.
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "core/device.hpp"
#include "core/error.hpp"
#include "core/fields.hpp"
#include "core/workspace.hpp"

namespace granule {

namespace detail {

/// The tensors of a kernel's arguments. They must all be on one device.
class ArgumentTensors {
 public:
  template <class Args>
  ArgumentTensors(std::string_view slot, const Args& args) {
    for_each_field(args, [&](const auto& field) { add(slot, field); });
    check(slot);
  }
  void add(std::string_view slot, const Tensor& tensor);
  void add(std::string_view slot, const Grad& grad) { add(slot, grad.dst); }
  template <class T>
  void add(std::string_view /*slot*/, const T& /*not a tensor*/) {}

  [[nodiscard]] const Tensor& first() const { return *tensors_[0]; }
  [[nodiscard]] std::span<const Tensor* const> all() const { return std::span(tensors_).first(count_); }

 private:
  void check(std::string_view slot) const;
  std::array<const Tensor*, kMostFields + 1> tensors_{};  // and the workspace
  std::size_t count_ = 0;
};

/// Tells the device that a kernel runs, for the length of a scope.
class KernelScope {
 public:
  KernelScope(DeviceRuntime* device, const ArgumentTensors& tensors);
  ~KernelScope();
  KernelScope(const KernelScope&) = delete;
  KernelScope& operator=(const KernelScope&) = delete;

 private:
  DeviceRuntime* device_;
};

/// The device whose kernels run on this tensor's memory.
[[nodiscard]] DeviceType kernels_for(const Tensor& tensor);
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

  /// One of the two functions is set, or none if the device has no kernel.
  struct Kernel {
    Plain plain = nullptr;
    WithWorkspace with_workspace = nullptr;
    WorkspaceBytes bytes = nullptr;

    [[nodiscard]] bool there() const { return plain != nullptr || with_workspace != nullptr; }
    [[nodiscard]] std::int64_t workspace(const Args& args, int threads) const {
      return bytes == nullptr ? 0 : bytes(args, threads);
    }
    void operator()(const Args& args, Workspace& workspace) const {
      plain != nullptr ? plain(args) : with_workspace(args, workspace);
    }
  };

  constexpr KernelSlot(std::string_view name, Plain cpu) : name_(name), kernels_{Kernel{cpu}} {}
  constexpr KernelSlot(std::string_view name, WithWorkspace cpu, WorkspaceBytes bytes)
      : name_(name), kernels_{Kernel{nullptr, cpu, bytes}} {}

  /// A plug-in calls it while it is loaded, before any rank runs.
  void fill(DeviceType device, Plain run) { kernels_[index(device)] = {run}; }
  void fill(DeviceType device, WithWorkspace run, WorkspaceBytes bytes) {
    kernels_[index(device)] = {nullptr, run, bytes};
  }
  [[nodiscard]] const Kernel& kernel(DeviceType device) const { return kernels_[index(device)]; }
  [[nodiscard]] bool has(DeviceType device) const { return kernel(device).there(); }

  void operator()(const Args& args) const {
    detail::ArgumentTensors tensors(name_, args);
    Context& context = tensors.first().context();
    const Kernel& here = kernel(detail::kernels_for(tensors.first()));
    if (!here.there()) detail::no_kernel(name_);
    const Place place = tensors.first().on_host() ? Place::host : Place::device;
    Workspace workspace(context, here.workspace(args, context.threads()), place);
    if (place == Place::device && !context.keeps_bytes()) return;
    tensors.add(name_, workspace.bytes());
    const detail::KernelScope scope(place == Place::host ? nullptr : context.runtime(), tensors);
    here(args, workspace);
  }

 private:
  static constexpr std::size_t index(DeviceType device) { return static_cast<std::size_t>(device); }

  std::string_view name_;
  std::array<Kernel, kDeviceTypes> kernels_;
};

}  // namespace granule
