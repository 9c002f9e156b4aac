// What a rank has sent, and what it is doing: the bytes of every kind of collective and phase, and what the
// watchdog reports. Each rank has one, which the communicators split from its world share.
// Any thread may read it.
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/communicators/collective.hpp"

namespace granule {

/// Collectives of one group, kind and phase.
struct TrafficRow {
  std::string group;
  CollectiveKind kind;
  std::string_view phase;
  std::int64_t calls = 0;
  std::int64_t bytes = 0;  ///< traffic_of()
};

/// Where a rank is, all taken at one moment.
struct RankStatus {
  std::int64_t step = 0;
  std::string_view phase;        ///< of the step
  std::string collective;        ///< the last one entered, as in describe(); empty before the first
  std::string group;             ///< the group of that collective
  std::int64_t collectives = 0;  ///< entered so far, in all groups
  std::int64_t moves = 0;        ///< steps and phases begun, collectives entered, move() called
};

class Ledger {
 public:
  /// The step is part of every ticket, because all ranks begin a step between the same two collectives.
  void begin_step(std::int64_t step);
  /// A phase of a step, or of work between steps. Calling it again tells the watchdog that the rank makes
  /// progress.
  void begin_phase(Phase phase);
  /// Tells the watchdog that long work makes progress: a message of a collective has moved, or data are read
  /// or built.
  void move();
  [[nodiscard]] std::int64_t step() const;

  /// The longest time that the config lets a rank make no progress, or 0 if the config does not say. For
  /// waits that last longer than the watchdog.
  void set_still_seconds(double seconds);
  [[nodiscard]] double still_seconds() const;

  void enter(std::string_view group, const Ticket& ticket, Phase phase, std::int64_t bytes);

  [[nodiscard]] RankStatus status() const;
  /// In the order of their first calls.
  [[nodiscard]] std::vector<TrafficRow> traffic() const;
  /// Sums over groups, and over the phases named `phase`; an empty name means all.
  [[nodiscard]] std::int64_t bytes(CollectiveKind kind, std::string_view phase = {}) const;

 private:
  // A lock rather than atomics: a report must not mix two collectives, and a rank that hangs never holds the
  // lock.
  mutable std::mutex mutex_;
  double still_seconds_ = 0.0;
  std::int64_t step_ = 0;
  Phase phase_ = "start";
  Ticket last_;
  std::string last_group_;
  std::int64_t collectives_ = 0;
  std::int64_t moves_ = 0;
  std::vector<TrafficRow> rows_;
};

}  // namespace granule
