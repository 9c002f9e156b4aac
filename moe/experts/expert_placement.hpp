// Where the routed experts of every layer are: all on this rank, or sharded over the ranks of a group.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// The E experts are cut into n equal parts by global id. Part q, counted from 0, holds the E/n experts from
/// q · E/n on.
struct ExpertPlacement {
  std::int64_t parts = 1, part = 0;
  /// Mesh::expert, the ranks that hold the parts, if there are several.
  Communicator* ranks = nullptr;
  std::int64_t receive_limit = 0;  ///< rows that a rank receives at once; 0: all

  [[nodiscard]] bool shared_out() const { return parts > 1; }
  [[nodiscard]] std::int64_t local(std::int64_t experts) const { return experts / parts; }
  /// Global id of the first local expert.
  [[nodiscard]] std::int64_t first(std::int64_t experts) const { return part * local(experts); }
};

/// The placement over the ranks of a group (Mesh::expert).
[[nodiscard]] inline ExpertPlacement placement_over(Communicator& ranks, std::int64_t receive_limit) {
  return {ranks.size(), ranks.rank(), &ranks, receive_limit};
}

}  // namespace granule
