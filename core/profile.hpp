// Where a step's time goes: seconds for each phase, and how often the host waited for the device. It is
// always on and costs two readings of the clock for each operator.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace granule {

class Profile {
 public:
  void add(std::string_view phase, double seconds);
  /// The host reads what the device computes, and waits for it (core/transfer.hpp).
  void add_wait() { ++waits_; }
  [[nodiscard]] std::int64_t waits() const { return waits_; }
  void reset() {
    seconds_.clear();
    waits_ = 0;
  }
  [[nodiscard]] const std::map<std::string, double, std::less<>>& seconds() const { return seconds_; }

 private:
  std::map<std::string, double, std::less<>> seconds_;
  std::int64_t waits_ = 0;
};

/// Adds the time from construction to destruction to a phase.
class PhaseTimer {
 public:
  PhaseTimer(Profile& profile, std::string_view phase)
      : profile_(profile), phase_(phase), start_(std::chrono::steady_clock::now()) {}
  ~PhaseTimer() {
    profile_.add(phase_, std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count());
  }
  PhaseTimer(const PhaseTimer&) = delete;
  PhaseTimer& operator=(const PhaseTimer&) = delete;

 private:
  Profile& profile_;
  std::string_view phase_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace granule
