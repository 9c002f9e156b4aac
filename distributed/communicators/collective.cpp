#include "distributed/communicators/collective.hpp"

#include <algorithm>
#include <numeric>

namespace granule {

std::string_view name_of(CollectiveKind kind) {
  static constexpr std::array<std::string_view, 8> kNames{
      "all_reduce", "reduce_scatter", "all_gather", "broadcast", "all_to_all", "gather", "barrier", "leave"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::int64_t traffic_of(const Collective& collective, int rank, int size) {
  const std::int64_t bytes = collective.bytes(collective.count);
  const std::int64_t others = size - 1;
  switch (collective.kind) {
    case CollectiveKind::all_reduce:
      return 2 * others * bytes / size;
    case CollectiveKind::reduce_scatter:
    case CollectiveKind::all_gather:
      return others * bytes;
    case CollectiveKind::broadcast:
      return rank == collective.root ? others * bytes : 0;
    case CollectiveKind::gather:
      return rank == collective.root ? 0 : bytes;
    case CollectiveKind::all_to_all: {
      const auto& counts = collective.input_counts;
      const std::int64_t all = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
      return collective.bytes(all - counts[static_cast<std::size_t>(rank)]);
    }
    case CollectiveKind::barrier:
    case CollectiveKind::leave:
      return 0;
  }
  return 0;
}

std::int64_t staged_bytes_of_rank(const Collective& collective, int size, std::int64_t piece) {
  const bool whole = collective.kind == CollectiveKind::all_reduce;
  if (!whole && collective.kind != CollectiveKind::reduce_scatter) return 0;
  const std::int64_t part = whole ? (collective.count + size - 1) / size : collective.count;
  return collective.bytes(std::min(piece, part));
}

bool same_collective(const Ticket& a, const Ticket& b) {
  return a.sequence == b.sequence && a.step == b.step && a.agreed == b.agreed &&
         a.phase_hash == b.phase_hash && a.kind == b.kind && a.dtype == b.dtype && a.reduce == b.reduce &&
         a.root == b.root;
}

std::string describe(const Ticket& ticket) {
  const std::string when = fmt::format("(number {}, step {})", ticket.sequence, ticket.step);
  if (ticket.kind == CollectiveKind::leave) return fmt::format("done {}", when);
  const std::string call = fmt::format("{} '{}'", name_of(ticket.kind), ticket.phase.data());
  if (ticket.kind == CollectiveKind::barrier) return fmt::format("in {} {}", call, when);
  const bool rows = ticket.kind == CollectiveKind::all_to_all || ticket.kind == CollectiveKind::gather;
  return fmt::format("in {} of {} {}{} {}", call, ticket.agreed, name_of(ticket.dtype), rows ? " a row" : "",
                     when);
}

Error out_of_step(const Ticket& a, const Ticket& b, std::string_view group) {
  // Programs compare their versions in the phase "program". One that enters another collective then is older
  // than this comparison.
  const auto asks = [](const Ticket& ticket) { return std::string_view(ticket.phase.data()) == "program"; };
  const char* const advice = asks(a) != asks(b)
                                 ? "the ranks run different versions of granule: install one on every host"
                                 : "every rank has to run the same collectives in the same order";
  return {ExitCode::out_of_step,
          fmt::format("ranks out of step: rank {} is {}, rank {} {}", a.world_rank, describe(a), b.world_rank,
                      describe(b)),
          fmt::format("group '{}'", group), advice};
}

}  // namespace granule
