#include "distributed/communicators/host_staging.hpp"

#include <utility>

#include "core/transfer.hpp"

namespace granule {
namespace {

Tensor empty_on_host(const Tensor& like) {
  return Tensor::empty(like.context(), like.shape(), like.dtype(), MemoryCategory::communication,
                       Place::host);
}

bool is_in_place(CollectiveKind kind) {
  return kind == CollectiveKind::all_reduce || kind == CollectiveKind::broadcast;
}

Tensor input_on_host(const Collective& collective, int rank) {
  if (collective.kind == CollectiveKind::broadcast && rank != collective.root)
    return empty_on_host(collective.held_input);
  return HostBytes(collective.held_input).arrived();
}

class StagedOperation final : public Operation {
 public:
  StagedOperation(std::unique_ptr<Operation> carried, HostStaging staging)
      : staging_(std::move(staging)), carried_(std::move(carried)) {}
  [[nodiscard]] bool poll() override {
    if (!carried_->poll()) return false;
    staging_.deliver();
    return true;
  }
  void wait() override {
    carried_->wait();
    staging_.deliver();
  }

 private:
  HostStaging staging_;
  std::unique_ptr<Operation> carried_;
};

}  // namespace

HostStaging::HostStaging(const Collective& collective, int rank)
    : on_host_(collective), input_(collective.held_input), output_(collective.held_output) {
  on_host_.held_input = input_on_host(collective, rank);
  on_host_.input = on_host_.held_input.raw();
  if (!output_.defined()) return;
  on_host_.held_output = is_in_place(collective.kind) ? on_host_.held_input : empty_on_host(output_);
  on_host_.output = on_host_.held_output.raw();
}

void HostStaging::deliver() const {
  if (output_.defined()) write_bytes(HostBytes(on_host_.held_output).get(), output_);
}

std::unique_ptr<Operation> deliver_after(std::unique_ptr<Operation> carried, HostStaging staging) {
  if (carried != nullptr) return std::make_unique<StagedOperation>(std::move(carried), std::move(staging));
  staging.deliver();
  return nullptr;
}

}  // namespace granule
