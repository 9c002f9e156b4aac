#include "distributed/communicators/ledger.hpp"

#include <algorithm>

namespace granule {

void Ledger::begin_step(std::int64_t step) {
  const std::scoped_lock lock(mutex_);
  step_ = step;
  ++moves_;
}

void Ledger::begin_phase(Phase phase) {
  const std::scoped_lock lock(mutex_);
  phase_ = phase;
  ++moves_;
}

void Ledger::move() {
  const std::scoped_lock lock(mutex_);
  ++moves_;
}

void Ledger::set_still_seconds(double seconds) {
  const std::scoped_lock lock(mutex_);
  still_seconds_ = seconds;
}

double Ledger::still_seconds() const {
  const std::scoped_lock lock(mutex_);
  return still_seconds_;
}

std::int64_t Ledger::step() const {
  const std::scoped_lock lock(mutex_);
  return step_;
}

void Ledger::enter(std::string_view group, const Ticket& ticket, Phase phase, std::int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  last_ = ticket;
  last_group_ = group;
  ++collectives_;
  ++moves_;
  auto row = std::find_if(rows_.begin(), rows_.end(), [&](const TrafficRow& known) {
    return known.kind == ticket.kind && known.phase == phase.name() && known.group == group;
  });
  if (row == rows_.end()) row = rows_.insert(row, {std::string(group), ticket.kind, phase.name()});
  ++row->calls;
  row->bytes += bytes;
}

RankStatus Ledger::status() const {
  const std::scoped_lock lock(mutex_);
  return {step_,       phase_.name(), collectives_ == 0 ? std::string() : describe(last_),
          last_group_, collectives_,  moves_};
}

std::vector<TrafficRow> Ledger::traffic() const {
  const std::scoped_lock lock(mutex_);
  return rows_;
}

std::int64_t Ledger::bytes(CollectiveKind kind, std::string_view phase) const {
  const std::scoped_lock lock(mutex_);
  std::int64_t sum = 0;
  for (const TrafficRow& row : rows_) {
    if (row.kind == kind && (phase.empty() || row.phase == phase)) sum += row.bytes;
  }
  return sum;
}

}  // namespace granule
