// Where the routed experts of every layer are: all here, or shared out over the ranks of a group.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Part q of n parts holds the q-th n-th of the experts, by global id.
struct ExpertPlacement {
  std::int64_t parts = 1, part = 0;
  Communicator* ranks = nullptr;   ///< Mesh::expert: the ranks that hold the parts, where there are several
  std::int64_t receive_limit = 0;  ///< rows that a rank receives at once; 0: all

  [[nodiscard]] bool shared_out() const { return parts > 1; }
  [[nodiscard]] std::int64_t local(std::int64_t experts) const { return experts / parts; }
  /// Global id of the first local expert.
  [[nodiscard]] std::int64_t first(std::int64_t experts) const { return part * local(experts); }
};

/// Over the ranks of a group (Mesh::expert).
[[nodiscard]] inline ExpertPlacement placement_over(Communicator& ranks, std::int64_t receive_limit) {
  return {ranks.size(), ranks.rank(), &ranks, receive_limit};
}

}  // namespace granule
