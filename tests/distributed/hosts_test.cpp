// On which hosts the ranks of a job are, and what follows from it.
#include "distributed/hosts.hpp"

#include <mutex>

#include "core/host_name.hpp"
#include "distributed/agreement.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

/// Runs the ranks of a job on these hosts, one name for each rank. Each host is one view.
void on_hosts(const std::vector<std::string>& names,
              const std::function<void(Communicator&, const Hosts&)>& body) {
  run_ranks(static_cast<int>(names.size()), [&](Communicator& ranks, Context&) {
    const std::string& name = names[static_cast<std::size_t>(ranks.rank())];
    body(ranks, Hosts(ranks, {.name = name, .host = name, .view = name}));
  });
}

std::string split_rows(const std::vector<std::string>& names, std::int64_t ep) {
  std::string text;
  on_hosts(names, [&](Communicator& ranks, const Hosts& hosts) {
    if (ranks.rank() == 0) text = hosts.split_rows(ep);
  });
  return text;
}

}  // namespace

TEST_CASE(
    "hosts: one rank of every view verifies, and ranks are named with their host where there are several") {
  on_hosts({"a", "b", "a", "b"}, [](Communicator& ranks, const Hosts& hosts) {
    expect(hosts.count() == 2 && hosts.views() == 2, "two hosts");
    expect(hosts.verifies() == (ranks.rank() < 2), "the first rank of each");
    expect(hosts.first_of_view(3) == 1, "of the second host");
    expect(hosts.place_on_host() == ranks.rank() / 2, "its place among those of its host");
    expect(hosts.text(3) == "rank 3 on host b", hosts.text(3));
  });
  on_hosts({"a", "a"},
           [](Communicator&, const Hosts& hosts) { expect(hosts.text(1) == "rank 1", "its name"); });
  // A host may show its ranks different files.
  run_ranks(3, [](Communicator& ranks, Context&) {
    const Hosts hosts(ranks, {.name = "a", .host = "a", .view = ranks.rank() == 1 ? "own" : "common"});
    expect(hosts.count() == 1 && hosts.views() == 2, "one host, two views");
    expect(hosts.verifies() == (ranks.rank() < 2), "the first of each view");
  });
}

TEST_CASE("hosts: ranks of one process are on one host and see the same files") {
  run_ranks(3, [](Communicator& ranks, Context&) {
    const Hosts hosts(ranks);
    expect(hosts.count() == 1 && hosts.views() == 1 && hosts.name(2) == host_name(), "one host");
  });
}

TEST_CASE("hosts: ranks that exchange tokens over several hosts without need are named") {
  CHECK_THAT(split_rows({"a", "b", "a", "b"}, 2),
             Contains("0 of 2 rows of parallel.ep = 2 ranks are within one host, and 2 could be") &&
                 Contains("ranks 0 and 1 are on hosts a and b"));
  CHECK_THAT(split_rows({"a", "a", "b", "a", "b", "a"}, 2), Contains("1 of 3") && Contains("ranks 2 and 3"));
  CHECK(split_rows({"a", "a", "b", "b"}, 2).empty());
  CHECK(split_rows({"a", "b", "a", "b"}, 1).empty());
  CHECK(split_rows({"a", "b", "a", "b"}, 4).empty());            // no host has four ranks
  CHECK(split_rows({"a", "a", "a", "b", "b", "b"}, 2).empty());  // one row must be on both hosts
}

TEST_CASE("hosts: the log tells ranks, hosts and threads, and how threads differ") {
  const auto text = [](const std::vector<std::string>& names, const std::vector<int>& threads) {
    std::string of_rank_0;
    on_hosts(names, [&](Communicator& ranks, const Hosts& hosts) {
      const std::string mine =
          ranks_and_threads(ranks, hosts, threads[static_cast<std::size_t>(ranks.rank())]);
      if (ranks.rank() == 0) of_rank_0 = mine;
    });
    return of_rank_0;
  };
  CHECK(text({"a"}, {1}) == "1 rank of 1 thread");
  CHECK(text({"a", "a"}, {2, 2}) == "2 ranks of 2 threads");
  CHECK(text({"a", "a"}, {1, 2}) == "2 ranks of 1 to 2 threads");
  CHECK(text({"a", "b", "a", "b"}, {4, 4, 4, 4}) == "4 ranks on 2 hosts, of 4 threads");
  CHECK(text({"a", "b"}, {4, 2}) == "2 ranks on 2 hosts, of 2 to 4 threads");
}

TEST_CASE("hosts: every rank gets every rank's text, of any length") {
  run_ranks(3, [](Communicator& ranks, Context&) {
    const auto texts =
        texts_of_all(ranks, std::string(static_cast<std::size_t>(ranks.rank()) * 9, 'x'), "texts");
    for (std::size_t rank = 0; rank < 3; ++rank)
      expect(texts[rank] == std::string(rank * 9, 'x'), fmt::format("the text of rank {}", rank));
    for (const std::string& text : texts_of_all(ranks, "", "texts")) expect(text.empty(), "no text");
  });
}
