// The border between host and device memory. Bytes cross it only here: write() brings host values to a
// tensor, and read_back() brings a tensor's values to the host.
#pragma once
#include <span>

#include "core/tensor.hpp"

namespace granule {

namespace detail {

void write_bytes(std::span<const std::byte> from, const Tensor& to);

/// The bytes of a tensor on the host, once they have arrived.
class ArrivingBytes {
 public:
  ArrivingBytes() = default;
  explicit ArrivingBytes(const Tensor& tensor);
  /// Waits for the device, which is counted once in the Context's Profile.
  [[nodiscard]] const std::byte* get() const;
  [[nodiscard]] const Tensor& tensor() const { return tensor_; }

 private:
  Tensor tensor_, on_host_;  // the same one on the CPU
  mutable bool arrived_ = false;
};

}  // namespace detail

/// Copies as many elements as `to` has. The copy takes its turn among the device's kernels, and `from` may be
/// reused at once.
template <class T>
void write(std::span<const T> from, const Tensor& to) {
  GRANULE_CHECK(dtype_of<T> == to.dtype(), "write: {} into {}", name_of(dtype_of<T>), name_of(to.dtype()));
  detail::write_bytes(std::as_bytes(from), to);
}

/// Values of a tensor on their way to the host. Nothing may write into the tensor before get() has returned
/// for the first time; on the CPU it is a view, and later writes would show in it.
template <class T>
class HostCopy {
 public:
  HostCopy() = default;  ///< of nothing
  explicit HostCopy(const Tensor& tensor) : bytes_(tensor) {}
  /// All elements, row-major, for as long as this copy lives. The only place where the program waits for a
  /// device.
  [[nodiscard]] std::span<const T> get() const {
    const auto* const first = reinterpret_cast<const T*>(bytes_.get());
    return {first, static_cast<std::size_t>(bytes_.tensor().numel())};
  }
  [[nodiscard]] bool defined() const { return bytes_.tensor().defined(); }
  [[nodiscard]] const Shape& shape() const { return bytes_.tensor().shape(); }

 private:
  detail::ArrivingBytes bytes_;
};

/// Starts to copy a tensor to the host. `T` must be its dtype.
template <class T>
[[nodiscard]] HostCopy<T> read_back(const Tensor& tensor) {
  GRANULE_CHECK(dtype_of<T> == tensor.dtype(), "read_back: {} as {}", name_of(tensor.dtype()),
                name_of(dtype_of<T>));
  return HostCopy<T>(tensor);
}

}  // namespace granule
