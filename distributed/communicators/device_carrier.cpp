#include "distributed/communicators/device_carrier.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <utility>

#include "distributed/communicators/communicator.hpp"

namespace granule {
namespace {

struct Offer {
  MakeDeviceCarrier make = nullptr;
  std::string version{};
};
/// What plug-ins offer for devices of this type. They do so while they are loaded, before anyone reads it.
Offer& offer_for(DeviceType type) {
  static std::array<Offer, kDeviceTypes> offers{};
  return offers[static_cast<std::size_t>(type)];
}

/// How long a rank that has failed waits for comparisons. Afterwards it leaves their messages to the end of
/// the job.
constexpr std::chrono::seconds kPatienceOfFailed{2};

/// A collective on a device. The comparisons go on whenever somebody asks for it.
class CarriedOperation final : public Operation {
 public:
  CarriedOperation(TensorCarriage& carriage, std::unique_ptr<Operation> carried)
      : carriage_(carriage), carried_(std::move(carried)) {}
  [[nodiscard]] bool poll() override {
    carriage_.advance();
    return carried_ == nullptr || carried_->poll();
  }
  void wait() override {
    carriage_.advance();
    if (carried_ != nullptr) carried_->wait();
  }

 private:
  TensorCarriage& carriage_;
  std::unique_ptr<Operation> carried_;
};

}  // namespace

void offer_device_carrier(DeviceType type, MakeDeviceCarrier make, std::string version) {
  offer_for(type) = {make, std::move(version)};
}

std::string device_carrier_version(DeviceType type) {
  return offer_for(type).version;
}

TensorCarriage::TensorCarriage(Communicator& ranks, std::unique_ptr<DeviceCarrier> carrier)
    : ranks_(ranks), carrier_(std::move(carrier)) {
  ranks_.carriages()->add(*this);
}

TensorCarriage::~TensorCarriage() {
  // Every rank that has not failed sends what the others compare with. A rank that has failed ends the job.
  const bool failed = std::uncaught_exceptions() > 0;
  const auto begin = std::chrono::steady_clock::now();
  wait_until(
      [&] { return settled() || (failed && std::chrono::steady_clock::now() - begin > kPatienceOfFailed); });
  if (failed) abort();
  ranks_.carriages()->remove(*this);
  aborted_ = true;  // the carrier waits while it ends, and is not polled any more
}

std::unique_ptr<Operation> TensorCarriage::start(const Collective& collective,
                                                 std::unique_ptr<Operation> comparison) {
  comparisons_.push_back(std::move(comparison));
  std::unique_ptr<Operation> carried;
  guard([&] { carried = carrier_->start(collective); });
  advance();
  return std::make_unique<CarriedOperation>(*this, std::move(carried));
}

void TensorCarriage::guard(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    if (aborted_) return;  // that is why it failed
    const RankStatus now = ranks_.ledger().status();
    ranks_.abort(error.code(), fmt::format("{}; step {}, phase '{}', last {} of group '{}'", error.what(),
                                           now.step, now.phase, now.collective, now.group));
  }
}

void TensorCarriage::advance() {
  if (aborted_) return;
  guard([this] { carrier_->poll(); });
  std::erase_if(comparisons_, [](const auto& one) { return one->poll(); });
}

// After abort() nothing is settled, so nobody acts on results that will never be compared. Whoever waits for
// that waits until the process ends. Only MpiJob::abort() aborts carriages, and it ends the process in any
// case.
bool TensorCarriage::settled() const {
  return comparisons_.empty() && !aborted_;
}

void TensorCarriage::abort() noexcept {
  if (!aborted_.exchange(true)) carrier_->abort();
}

void Carriages::add(TensorCarriage& carriage) {
  const std::scoped_lock lock(mutex_);
  all_.push_back(&carriage);
}

void Carriages::remove(TensorCarriage& carriage) {
  const std::scoped_lock lock(mutex_);
  std::erase(all_, &carriage);
}

void Carriages::abort() noexcept {
  const std::scoped_lock lock(mutex_);
  for (TensorCarriage* const one : all_) one->abort();
}

CarriedTensors::CarriedTensors(Communicator& ranks, Context& context, const CarrierOptions& options)
    : ranks_(ranks) {
  const MakeDeviceCarrier make = offer_for(context.device().type).make;
  if (make == nullptr || ranks.size() == 1 || ranks.carriages() == nullptr) return;
  ranks.carry_tensors_by(make(context, ranks, options));
  by_device_ = true;
}

CarriedTensors::~CarriedTensors() {
  if (!by_device_) return;
  // A carrier may wait for all ranks when it ends. So a rank that is elsewhere is found before that.
  if (std::uncaught_exceptions() == 0) ranks_.barrier("end of the carrier").wait();
  ranks_.carry_tensors_by(nullptr);
}

}  // namespace granule
