// On which hosts the ranks of a job run, and which of them see the same files under the same names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Where a process is. Equal `host` texts mean one host. Equal `view` texts mean that the same path opens the
/// same file. A view depends on the host, its mounts, the root and the working directory.
struct Whereabouts {
  std::string name;  ///< name of the host, for people
  std::string host, view;
};
[[nodiscard]] Whereabouts whereabouts();

/// Where all ranks are, known to every rank.
class Hosts {
 public:
  /// The constructor is a collective.
  explicit Hosts(Communicator& ranks, const Whereabouts& mine = whereabouts());

  [[nodiscard]] std::int64_t count() const { return hosts_; }
  [[nodiscard]] std::int64_t views() const { return views_; }
  /// The lowest rank on the same host.
  [[nodiscard]] int first_on_host(int rank) const { return location(rank).first_on_host; }
  /// The lowest rank with the same view.
  [[nodiscard]] int first_of_view(int rank) const { return location(rank).first_of_view; }
  /// True on one rank of every view. The others of its view need not read what it has verified.
  [[nodiscard]] bool verifies() const { return first_of_view(rank_) == rank_; }
  [[nodiscard]] const std::string& name(int rank) const { return location(rank).name; }
  /// How many of the ranks before this one are on its host.
  [[nodiscard]] int place_on_host() const;
  /// How many ranks share this rank's host.
  [[nodiscard]] std::int64_t ranks_here() const;
  /// The name of each host, in the order of its first rank.
  [[nodiscard]] std::vector<std::string> names() const;
  /// "rank 3", or "rank 3 on host b" if there are several hosts.
  [[nodiscard]] std::string text(int rank) const;

  /// A warning if more rows of `ep` adjacent ranks could be within one host than are, so that tokens cross
  /// the network without need. Otherwise empty.
  [[nodiscard]] std::string split_rows(std::int64_t ep) const;

 private:
  struct RankLocation {
    std::string name;
    int first_on_host = 0, first_of_view = 0;
  };
  [[nodiscard]] const RankLocation& location(int rank) const {
    return locations_[static_cast<std::size_t>(rank)];
  }

  int rank_;
  std::vector<RankLocation> locations_;
  std::int64_t hosts_ = 0, views_ = 0;
};

/// "4 ranks of 2 threads", "4 ranks on 2 hosts, of 2 to 4 threads". A collective.
[[nodiscard]] std::string ranks_and_threads(Communicator& ranks, const Hosts& hosts, int threads);

}  // namespace granule
