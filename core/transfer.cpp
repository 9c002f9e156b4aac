#include "core/transfer.hpp"

#include <cstring>
#include <utility>

namespace granule {

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

HostBytes::HostBytes(const Tensor& tensor) : tensor_(tensor), on_host_(tensor) {
  if (tensor.on_host()) return;
  on_host_ = Tensor::empty(tensor.context(), tensor.shape(), tensor.dtype(), MemoryCategory::communication,
                           Place::host);
  tensor.context().runtime()->copy_to_host({on_host_.raw(), static_cast<std::size_t>(on_host_.bytes())},
                                           tensor.raw());
}

const Tensor& HostBytes::arrived() const {
  if (!std::exchange(arrived_, true)) {
    Context& context = tensor_.context();
    const bool beside_a_device = tensor_.on_host() && context.runtime() != nullptr;
    if (!beside_a_device) context.profile().add_wait();
    if (!tensor_.on_host()) context.runtime()->wait();
  }
  return on_host_;
}

std::span<const std::byte> HostBytes::get() const {
  return {arrived().raw(), static_cast<std::size_t>(on_host_.bytes())};
}

}  // namespace granule
