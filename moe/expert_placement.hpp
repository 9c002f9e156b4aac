// Where the routed experts of every layer are: all here, or shared out over the ranks of a group.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Rank q of n ranks holds the q-th n-th of the experts, by global id.
struct ExpertPlacement {
  Communicator* ranks = nullptr;   ///< Mesh::expert; nullptr, or one rank: every expert is here
  std::int64_t receive_limit = 0;  ///< rows that a rank receives at once; 0: all

  [[nodiscard]] bool shared_out() const { return ranks != nullptr && ranks->size() > 1; }
  [[nodiscard]] std::int64_t local(std::int64_t experts) const {
    return shared_out() ? experts / ranks->size() : experts;
  }
  /// Global id of the first local expert.
  [[nodiscard]] std::int64_t first(std::int64_t experts) const {
    return shared_out() ? ranks->rank() * local(experts) : 0;
  }
};

}  // namespace granule
