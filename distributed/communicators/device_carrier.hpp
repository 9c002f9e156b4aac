// How tensors on a device travel between ranks without memory of the host: by collectives of the device's
// own, such as NCCL's. A plug-in makes the carriers. Without one, tensors pass through the host
// (host_staging.hpp).
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/background.hpp"
#include "core/context.hpp"
#include "distributed/communicators/collective.hpp"
#include "distributed/communicators/pending.hpp"

namespace granule {

class Communicator;

/// Carries the collectives of one rank's Context, in a group of ranks that each have a device.
class DeviceCarrier {
 public:
  DeviceCarrier() = default;
  virtual ~DeviceCarrier() = default;
  DeviceCarrier(const DeviceCarrier&) = delete;
  DeviceCarrier& operator=(const DeviceCarrier&) = delete;

  /// Enqueues a checked collective of tensors behind everything that the Context has enqueued. When its
  /// Operation was waited for, what the Context enqueues comes after it. No call blocks the host for long.
  [[nodiscard]] virtual std::unique_ptr<Operation> start(const Collective& collective) = 0;
  /// The carrier of the group of this color, in which ranks are ordered by key. It is null if the color is
  /// negative. All ranks of this carrier call it together, while it carries nothing.
  [[nodiscard]] virtual std::unique_ptr<DeviceCarrier> split(int color, int key) = 0;
  /// Moves what is under way. Throws Error if it has failed.
  virtual void poll() = 0;
  /// Gives up what is under way and whatever comes. Any thread may call it.
  virtual void abort() noexcept = 0;
};

struct CarrierOptions {
  bool deterministic = false;  ///< sums run in rank order; otherwise as the library likes
  double seconds = 600.0;      ///< in which the ranks must have found each other; otherwise exit code 75
};
/// All ranks of the communicator call it together. It tells them what they need to find each other.
using MakeDeviceCarrier = std::unique_ptr<DeviceCarrier> (*)(Context& context, Communicator& ranks,
                                                             const CarrierOptions& options);
/// A plug-in calls it while it is loaded, before any rank runs. `version` is that of the library below.
void offer_device_carrier(DeviceType type, MakeDeviceCarrier make, std::string version);
/// Empty if nobody has offered a carrier for this type of device.
[[nodiscard]] std::string device_carrier_version(DeviceType type);

/// A carrier in use by a communicator. Ranks compare what they carry meanwhile, so the comparison may come
/// after the data. Until it has come, nothing is settled, and the host reads no result (core/transfer.hpp).
class TensorCarriage final : public Background {
 public:
  /// `ranks` must outlive it. Its abort() also ends the carrier.
  TensorCarriage(Communicator& ranks, std::unique_ptr<DeviceCarrier> carrier);
  /// Waits until everything is compared. If an exception destroys it, it gives up.
  ~TensorCarriage() override;
  TensorCarriage(const TensorCarriage&) = delete;
  TensorCarriage& operator=(const TensorCarriage&) = delete;

  /// `comparison` ends when the other ranks are known to do the same.
  [[nodiscard]] std::unique_ptr<Operation> start(const Collective& collective,
                                                 std::unique_ptr<Operation> comparison);
  [[nodiscard]] DeviceCarrier& carrier() { return *carrier_; }

  /// A failure of the carrier ends the job, with the step and phase of this rank.
  void advance() override;
  [[nodiscard]] bool settled() const override;
  /// Any thread may call it. Nothing is settled any more.
  void abort() noexcept;

 private:
  /// Ends the job if work throws, with the step and phase of this rank.
  void guard(const std::function<void()>& work);

  Communicator& ranks_;
  std::unique_ptr<DeviceCarrier> carrier_;
  std::vector<std::unique_ptr<Operation>> comparisons_;
  std::atomic<bool> aborted_ = false;
};

/// The carriages of a rank. Threads that end the job find them here.
class Carriages {
 public:
  void add(TensorCarriage& carriage);
  void remove(TensorCarriage& carriage);
  void abort() noexcept;

 private:
  std::mutex mutex_;
  std::vector<TensorCarriage*> all_;  // guarded by mutex_
};

/// As long as it lives, tensors of a Context travel by a carrier of its device. They do so if a plug-in
/// offers one and every rank is a process of its own. Otherwise nothing changes. All ranks make it together.
class CarriedTensors {
 public:
  /// Both must outlive it.
  CarriedTensors(Communicator& ranks, Context& context, const CarrierOptions& options);
  ~CarriedTensors();
  CarriedTensors(const CarriedTensors&) = delete;
  CarriedTensors& operator=(const CarriedTensors&) = delete;
  /// Whether there is a carrier.
  [[nodiscard]] bool by_device() const { return by_device_; }

 private:
  Communicator& ranks_;
  bool by_device_ = false;
};

}  // namespace granule
