// The border between host and device memory. Bytes cross it only here: write() brings host values to a
// tensor, and read_back() brings a tensor's values to the host.
#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/tensor.hpp"

namespace granule {

/// Copies as many bytes as `to` has, whatever its dtype. The copy takes its turn among the device's kernels,
/// and `from` may be reused at once.
void write_bytes(std::span<const std::byte> from, const Tensor& to);

/// The bytes of a tensor of any dtype on their way to the host. HostCopy says what may be done meanwhile.
class HostBytes {
 public:
  HostBytes() = default;  ///< of nothing
  explicit HostBytes(const Tensor& tensor);
  /// Waits for the device, unless it was waited for since this copy began. Waits are counted in the Context's
  /// Profile. The CPU counts too, and only memory of the host beside a device does not. This is the only
  /// place where the program waits for a device. The bytes are there for as long as this object or a copy of
  /// it lives.
  [[nodiscard]] std::span<const std::byte> get() const;
  /// The same bytes as a tensor on the host. It waits as get() does.
  [[nodiscard]] const Tensor& arrived() const;
  [[nodiscard]] const Tensor& tensor() const { return arriving_->tensor; }
  [[nodiscard]] bool defined() const { return arriving_ != nullptr; }

 private:
  struct Arriving {
    Tensor tensor, on_host;  // the same one on the CPU
    std::int64_t number;     // among the copies of the Context
    explicit Arriving(const Tensor& from);
    ~Arriving();
    Arriving(const Arriving&) = delete;
    Arriving& operator=(const Arriving&) = delete;
  };
  std::shared_ptr<const Arriving> arriving_;
};

/// write_bytes() of elements. `T` must be the tensor's dtype.
template <class T>
void write(std::span<const T> from, const Tensor& to) {
  GRANULE_CHECK(dtype_of<T> == to.dtype(), "write: {} into {}", name_of(dtype_of<T>), name_of(to.dtype()));
  write_bytes(std::as_bytes(from), to);
}

/// Values of a tensor on their way to the host. Copies of it share them. Nothing may write into the tensor
/// before get() has returned for the first time; on the CPU it is a view, and later writes would show in it.
template <class T>
class HostCopy {
 public:
  HostCopy() = default;  ///< of nothing
  explicit HostCopy(const Tensor& tensor) : bytes_(tensor), size_(tensor.numel()) {}
  /// Of values that the host knows without reading the tensor. Nothing is copied or waited for.
  HostCopy(Tensor tensor, std::vector<T> values)
      : known_(std::make_shared<const Known>(Known{std::move(tensor), std::move(values)})),
        size_(std::ssize(known_->values)) {}
  /// All elements, row-major, for as long as this or a copy of it lives. Waits as HostBytes::get() does.
  [[nodiscard]] std::span<const T> get() const {
    if (known_ != nullptr) return known_->values;
    const std::span<const std::byte> bytes = bytes_.get();
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  [[nodiscard]] bool defined() const { return known_ != nullptr || bytes_.defined(); }
  [[nodiscard]] std::int64_t size() const { return size_; }

 private:
  struct Known {
    Tensor tensor;  // it lives as long as that of a copy
    std::vector<T> values;
  };
  HostBytes bytes_;
  std::shared_ptr<const Known> known_;
  std::int64_t size_ = 0;
};

/// Starts to copy a tensor to the host. `T` must be its dtype.
template <class T>
[[nodiscard]] HostCopy<T> read_back(const Tensor& tensor) {
  GRANULE_CHECK(dtype_of<T> == tensor.dtype(), "read_back: {} as {}", name_of(tensor.dtype()),
                name_of(dtype_of<T>));
  return HostCopy<T>(tensor);
}

}  // namespace granule
