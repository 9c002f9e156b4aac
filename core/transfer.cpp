#include "core/transfer.hpp"

#include <cstring>

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

HostBytes::Arriving::Arriving(const Tensor& from)
    : tensor(from), on_host(from), number(from.context().begin_copy()) {
  if (from.on_host()) return;
  on_host =
      Tensor::empty(from.context(), from.shape(), from.dtype(), MemoryCategory::communication, Place::host);
  from.context().runtime()->copy_to_host({on_host.raw(), static_cast<std::size_t>(on_host.bytes())},
                                         from.raw());
}

HostBytes::Arriving::~Arriving() {
  // The device may still write into this memory.
  if (!tensor.on_host() && !tensor.context().has_copied(number)) tensor.context().wait_for_copies();
}

HostBytes::HostBytes(const Tensor& tensor) : arriving_(std::make_shared<const Arriving>(tensor)) {}

const Tensor& HostBytes::arrived() const {
  GRANULE_CHECK(defined(), "host bytes: of nothing");
  Context& context = arriving_->tensor.context();
  const bool beside_a_device = arriving_->tensor.on_host() && context.runtime() != nullptr;
  if (!beside_a_device && !context.has_copied(arriving_->number)) {
    context.profile().add_wait();
    context.wait_for_copies();
    if (context.runtime() != nullptr) context.runtime()->throw_faults();
  }
  return arriving_->on_host;
}

std::span<const std::byte> HostBytes::get() const {
  const Tensor& on_host = arrived();
  return {on_host.raw(), static_cast<std::size_t>(on_host.bytes())};
}

}  // namespace granule
