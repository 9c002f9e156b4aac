#include "distributed/hosts.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>

#include <sys/stat.h>

#include "core/host_name.hpp"
#include "distributed/agreement.hpp"

namespace granule {
namespace {

/// Device and number of a file. Two names with the same ones are one file.
std::string identity_of(const char* path) {
  struct ::stat status {};
  if (::stat(path, &status) != 0) return "?";
  return fmt::format("{}:{}", status.st_dev, status.st_ino);
}

/// Differs between machines, even if all have the same name.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

/// For each rank, the lowest rank with the same text.
std::vector<int> first_with_same(const std::vector<std::string>& texts) {
  std::map<std::string, int> first;
  std::vector<int> found;
  for (const std::string& text : texts)
    found.push_back(first.emplace(text, static_cast<int>(found.size())).first->second);
  return found;
}

std::string counted(std::int64_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

}  // namespace

Whereabouts whereabouts() {
  const std::string name = host_name(), host = name + ' ' + boot_id();
  return {
      name, host,
      fmt::format("{} {} {} {}", host, identity_of("/proc/self/ns/mnt"), identity_of("/"), identity_of("."))};
}

Hosts::Hosts(Communicator& ranks, const Whereabouts& mine) : rank_(ranks.rank()) {
  const std::vector<std::string> names = texts_of_all(ranks, mine.name, "hosts");
  const std::vector<int> hosts = first_with_same(texts_of_all(ranks, mine.host, "hosts"));
  const std::vector<int> views = first_with_same(texts_of_all(ranks, mine.view, "hosts"));
  for (std::size_t rank = 0; rank < names.size(); ++rank) {
    locations_.push_back({names[rank], hosts[rank], views[rank]});
    hosts_ += hosts[rank] == static_cast<int>(rank) ? 1 : 0;
    views_ += views[rank] == static_cast<int>(rank) ? 1 : 0;
  }
}

std::int64_t Hosts::ranks_here() const {
  const int here = first_on_host(rank_);
  return std::ranges::count_if(locations_,
                               [here](const RankLocation& one) { return one.first_on_host == here; });
}

int Hosts::place_on_host() const {
  const int here = first_on_host(rank_);
  return static_cast<int>(
      std::count_if(locations_.begin(), locations_.begin() + rank_,
                    [here](const RankLocation& one) { return one.first_on_host == here; }));
}

std::vector<std::string> Hosts::names() const {
  std::vector<std::string> names;
  for (int rank = 0; rank < static_cast<int>(locations_.size()); ++rank) {
    if (first_on_host(rank) == rank) names.push_back(name(rank));
  }
  return names;
}

std::string Hosts::text(int rank) const {
  return hosts_ > 1 ? fmt::format("rank {} on host {}", rank, name(rank)) : fmt::format("rank {}", rank);
}

std::string Hosts::split_rows(std::int64_t ep) const {
  std::map<int, std::int64_t> ranks_on;
  for (const RankLocation& one : locations_) ++ranks_on[one.first_on_host];
  std::int64_t could = 0, are = 0;  // rows within one host
  for (const auto& [host, ranks] : ranks_on) could += ranks / ep;
  const auto size = static_cast<int>(locations_.size()), row = static_cast<int>(ep);
  std::string example;
  for (int first = 0; first + row <= size; first += row) {
    int other = first + 1;
    while (other < first + row && first_on_host(other) == first_on_host(first)) ++other;
    if (other == first + row) {
      ++are;
    } else if (example.empty()) {
      example = fmt::format("{} and {} are on hosts {} and {}", first, other, name(first), name(other));
    }
  }
  if (are >= could) return "";
  return fmt::format("{} of {} rows of parallel.ep = {} ranks are within one host, and {} could be: ranks {}",
                     are, size / row, ep, could, example);
}

std::string ranks_and_threads(Communicator& ranks, const Hosts& hosts, int threads) {
  std::array<std::int64_t, 2> extremes{threads, -threads};
  ranks.all_reduce(std::span(extremes), ReduceOp::max, "threads").wait();
  const std::int64_t most = extremes[0], least = -extremes[1];
  const std::string each =
      least == most ? counted(most, "thread") : fmt::format("{} to {} threads", least, most);
  const std::string all = counted(ranks.size(), "rank");
  if (hosts.count() == 1) return fmt::format("{} of {}", all, each);
  return fmt::format("{} on {} hosts, of {}", all, hosts.count(), each);
}

}  // namespace granule
