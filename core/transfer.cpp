#include "core/transfer.hpp"

#include <cstring>

namespace granule::detail {

void write_bytes(std::span<const std::byte> from, const Tensor& to) {
  GRANULE_CHECK(std::ssize(from) == to.bytes(), "write: {} bytes into a tensor of {}", from.size(),
                to.bytes());
  if (from.empty()) return;
  if (to.on_host()) {
    std::memcpy(to.raw(), from.data(), from.size());
  } else {
    to.context().runtime()->copy_to_device(to.raw(), from);
  }
}

ArrivingBytes::ArrivingBytes(const Tensor& tensor) : tensor_(tensor), on_host_(tensor) {
  if (tensor.on_host()) return;
  on_host_ = Tensor::empty(tensor.context(), tensor.shape(), tensor.dtype(), MemoryCategory::communication,
                           Place::host);
  tensor.context().runtime()->copy_to_host({on_host_.raw(), static_cast<std::size_t>(on_host_.bytes())},
                                           tensor.raw());
}

const std::byte* ArrivingBytes::get() const {
  if (std::exchange(arrived_, true)) return on_host_.raw();
  Context& context = tensor_.context();
  context.profile().add_wait();
  if (!tensor_.on_host()) context.runtime()->wait();
  return on_host_.raw();
}

}  // namespace granule::detail
