// The fake NCCL: what it computes, and the mistakes of programs that it must find. Ranks are processes.
#include <algorithm>
#include <atomic>
#include <numeric>

#include "tests/cuda_emulation/nccl/compute_and_sum.cuh"

using namespace cuda_emulation;
using Catch::Contains;

TEST_CASE("nccl: every call moves and adds what it should, on 1 to 4 ranks") {
  const int n = GENERATE(1, 2, 3, 4);
  require_right(n, 1, [n](Rank& rank, int number) {
    const auto at = static_cast<std::size_t>(number), ranks = static_cast<std::size_t>(n);
    constexpr std::size_t kCount = 9001;  // more than a pipe between two ranks can take at once
    std::vector<double> values(kCount * ranks);
    std::iota(values.begin(), values.end(), 1000.0 * number);
    const Buffer<double> whole(rank.communication, values), part(kCount), all(kCount * ranks);
    ncclReduceScatter(whole.data(), part.data(), kCount, ncclFloat64, ncclSum, rank.comm, rank.communication);
    Rank::finish(rank.comm);
    ncclAllGather(part.data(), all.data(), kCount, ncclFloat64, rank.comm, rank.communication);
    Rank::finish(rank.comm);
    ncclAllReduce(whole.data(), whole.data(), kCount * ranks, ncclFloat64, ncclSum, rank.comm,
                  rank.communication);
    Rank::finish(rank.comm);
    const auto summed = whole.values(rank.communication), gathered = all.values(rank.communication);
    for (std::size_t i = 0; i < summed.size(); ++i) {
      const double wanted = static_cast<double>(n) * static_cast<double>(i) + 500.0 * n * (n - 1);
      must(summed[i] == wanted && gathered[i] == wanted, "a wrong element");
    }
    const Buffer<std::int32_t> told(rank.communication, std::vector<std::int32_t>(3, number));
    ncclBroadcast(told.data(), told.data(), 3, ncclInt32, n - 1, rank.comm, rank.communication);
    Rank::finish(rank.comm);
    must(told.values(rank.communication) == std::vector<std::int32_t>(3, n - 1), "a wrong broadcast");
    const Buffer<std::int32_t> next(rank.communication, {7, 7});
    ncclGroupStart();
    ncclSend(told.data(), 2, ncclInt32, static_cast<int>((at + 1) % ranks), rank.comm, rank.communication);
    ncclRecv(next.data(), 2, ncclInt32, static_cast<int>((at + ranks - 1) % ranks), rank.comm,
             rank.communication);
    ncclGroupEnd();
    Rank::finish(rank.comm);
    must(next.values(rank.communication) == std::vector<std::int32_t>(2, n - 1), "a wrong message");
  });
}

TEST_CASE("nccl: communicators are split by color and ordered by key, and some ranks get none") {
  require_right(4, 1, [](Rank& rank, int number) {
    ncclComm_t part = nullptr;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclCommSplit(rank.comm, number == 0 ? NCCL_SPLIT_NOCOLOR : 5, -number, &part, &config);
    must(Rank::finish(rank.comm) == ncclSuccess, "no split");
    must((part == nullptr) == (number == 0), "a communicator without a color");
    if (part == nullptr) return;
    must(Rank::finish(part) == ncclSuccess, "no part");
    int place = -1, size = 0;
    ncclCommUserRank(part, &place);
    ncclCommCount(part, &size);
    must(place == 3 - number && size == 3, "another place");
    const Buffer<float> data(rank.communication, {1.0F});
    ncclAllReduce(data.data(), data.data(), 1, ncclFloat32, ncclSum, part, rank.communication);
    Rank::finish(part);
    must(data.values(rank.communication) == std::vector<float>{3.0F}, "a wrong sum of the part");
    ncclCommFinalize(part);
    Rank::finish(part);
    ncclCommDestroy(part);
  });
}

TEST_CASE("nccl: with its events, a sum between two kernels is right under every seed") {
  for (std::uint64_t seed = 1; seed <= 3 * kSeeds; ++seed)
    require_right(2, seed, [](Rank& rank, int number) { compute_and_sum(rank, number, Events::right); });
}

TEST_CASE("mistake: sizes, types and roots that differ between ranks are found") {
  const auto differs = [](auto&& call, const char* words) {
    const auto said = on_ranks(2, 1, [&](Rank& rank, int number) {
      const Buffer<float> data(rank.communication, std::vector<float>(8, 1.0F));
      call(rank, data.data(), number);
      Rank::finish(rank.comm);
      rank.communication.wait();
    });
    CHECK_THAT(said[0] + said[1], Contains("NCCL: rank") && Contains(words));
  };
  differs([](Rank& rank, float* data, int number) { rank.sum(data, number == 0 ? 4 : 5); },
          "ncclAllReduce of 20 bytes");
  differs(
      [](Rank& rank, float* data, int number) {
        ncclAllReduce(data, data, 4, number == 0 ? ncclFloat32 : ncclInt32, ncclSum, rank.comm,
                      rank.communication);
      },
      "type 2");
  differs(
      [](Rank& rank, float* data, int number) {
        ncclGroupStart();
        number == 0 ? ncclSend(data, 4, ncclFloat32, 1, rank.comm, rank.communication)
                    : ncclRecv(data, 3, ncclFloat32, 0, rank.comm, rank.communication);
        ncclGroupEnd();
      },
      "ncclSend of 12 bytes");
}

TEST_CASE("mistake: calls that NCCL does not allow are refused") {
  const auto refused = [](auto&& body, const char* words) {
    CHECK_THAT(on_ranks(1, 1, body)[0], Contains(words));
  };
  refused(
      [](Rank& rank, int) {
        const Buffer<float> data(4);
        for (int i = 0; i < 9; ++i)  // the first may be on its stream at once
          ncclAllReduce(data.data(), data.data(), 4, ncclFloat32, ncclSum, rank.comm, rank.communication);
      },
      "a call before the last one is done");
  refused(
      [](Rank& rank, int) {
        std::vector<float> host(4);
        rank.sum(host.data(), 4);
      },
      "a buffer that is not inside one allocation");
  refused([](Rank& rank, int) { ncclCommDestroy(rank.comm); }, "destroyed before it is finalised");
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  const auto shared = in_processes(2, [&](int number) {
    GRANULE_GPU_CHECK(cudaSetDevice(0));
    ncclComm_t comm = nullptr;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclCommInitRankConfig(&comm, 2, id, number, &config);
    must(Rank::finish(comm) == ncclInvalidUsage, "two ranks on one device");
  });
  CHECK(shared == std::vector<std::string>{"", ""});
}
