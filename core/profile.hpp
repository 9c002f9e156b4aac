// Where a step's time goes: seconds for each phase, and how often the host waited for the device.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/device_clock.hpp"

namespace granule {

/// Phases may lie within each other. A device with a clock of its own measures its kernels, whenever the host
/// handed them over. Otherwise the host's clock does: there, work is done when it returns.
class Profile {
 public:
  /// With nullptr the host's clock is read.
  explicit Profile(DeviceClock* clock = nullptr) : clock_(clock) {}

  /// Forgets what was recorded.
  void reset();
  /// Forgets what was recorded, and records phases from now on. Until then, phases cost nothing.
  void start();
  /// Seconds of each phase. On a device with a clock it waits until all phases have passed.
  [[nodiscard]] const std::map<std::string, double, std::less<>>& seconds();

  /// The host reads what the device computes, and waits for it (core/transfer.hpp).
  void add_wait() { ++waits_; }
  [[nodiscard]] std::int64_t waits() const { return waits_; }

 private:
  friend class PhaseTimer;
  struct Moment {
    std::chrono::steady_clock::time_point of_host;
    std::int64_t mark = kNoMark;
  };
  [[nodiscard]] Moment now() noexcept;
  void add(std::string_view phase, const Moment& begin);
  void resolve();

  /// A phase between two marks of the device's clock.
  struct Passing {
    double* seconds;
    std::int64_t begin, end;
  };
  DeviceClock* clock_;
  bool records_ = false;
  std::map<std::string, double, std::less<>> seconds_;
  std::vector<Passing> passing_;
  std::int64_t waits_ = 0;
};

/// Adds the time from construction to destruction to a phase. `phase` must outlive it.
class PhaseTimer {
 public:
  PhaseTimer(Profile& profile, std::string_view phase)
      : profile_(profile), phase_(phase), begin_(profile.now()) {}
  ~PhaseTimer() { profile_.add(phase_, begin_); }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  Profile& profile_;
  std::string_view phase_;
  Profile::Moment begin_;
};

}  // namespace granule
