#include "distributed/communicators/pending.hpp"

#include <exception>

namespace granule {

Pending& Pending::operator=(Pending&& other) noexcept {
  if (this == &other) return *this;
  finish();
  operation_ = std::move(other.operation_);
  return *this;
}

bool Pending::poll() {
  if (operation_ != nullptr && operation_->poll()) operation_.reset();
  return operation_ == nullptr;
}

void Pending::wait() {
  if (operation_ == nullptr) return;
  const std::unique_ptr<Operation> operation = std::move(operation_);
  operation->wait();
}

void Pending::finish() noexcept {
  try {
    wait();
  } catch (const std::exception&) {
    return;  // the job has failed, and every later call of the communicator throws it
  }
}

}  // namespace granule
