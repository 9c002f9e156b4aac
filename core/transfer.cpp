#include "core/transfer.hpp"

#include <cstring>

namespace granule::detail {

void write_bytes(std::span<const std::byte> from, const Tensor& to) {
  GRANULE_CHECK(std::ssize(from) == to.bytes(), "write: {} bytes into a tensor of {}", from.size(),
                to.bytes());
  if (!from.empty()) std::memcpy(to.raw(), from.data(), from.size());
}

ArrivingBytes::ArrivingBytes(const Tensor& tensor) : tensor_(tensor) {}

const std::byte* ArrivingBytes::get() const {
  if (!std::exchange(arrived_, true)) tensor_.context().profile().add_wait();
  return tensor_.raw();
}

}  // namespace granule::detail
