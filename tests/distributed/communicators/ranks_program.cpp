// A program for mpirun. It runs the cases that every communicator must pass, or makes one planted mistake.
//   granule_ranks MODE [LARGEST_MESSAGE]      the modes are listed in main
//   granule_ranks job                        the ranks that the launcher started
//   granule_ranks lock-up                    what mpirun sometimes does after an abort
//   granule_ranks end-launcher [SECONDS]     what a rank does about its launcher before it aborts, without MPI
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <mpi.h>
#include <unistd.h>

#include "core/kernels/fill.hpp"
#include "core/transfer.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "distributed/communicators/mesh.hpp"
#include "distributed/mpi/end_launcher.hpp"
#include "distributed/mpi/launcher.hpp"
#include "distributed/mpi/mpi_communicator.hpp"
#include "distributed/watchdog.hpp"
#include "tests/support/collective_cases.hpp"
#include "tests/support/disturbed_ranks.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/test_context.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr double kConnectSeconds = 5.0;  // a test must not wait long for ranks that never come

void say(std::string_view line) {
  fmt::print(stderr, "{}", std::string(line) + '\n');
}

/// From now on the emulated device takes all turns in the random order of this seed.
void reseed_emulation(std::uint64_t seed) {
  static void* const plugin = dlopen(std::getenv("GRANULE_CUDA_PLUGIN"), RTLD_NOW | RTLD_NOLOAD);
  GRANULE_CHECK(plugin != nullptr, "seeds: GRANULE_CUDA_PLUGIN was not loaded");
  void* const reseed = dlsym(plugin, "granule_emulation_reseed");
  GRANULE_CHECK(reseed != nullptr, "seeds: the plug-in is not the emulated one");
  reinterpret_cast<void (*)(std::uint64_t)>(reseed)(seed);
}

void sum(Communicator& ranks, Context& context, Phase phase, std::int64_t n = 4) {
  const Tensor data = Tensor::zeros(context, {n}, DType::f32);
  ranks.all_reduce(data, phase).wait();
  static_cast<void>(read_back<float>(data).get());  // a device has summed only then
}

void skip(Communicator& ranks, Context& context) {
  sum(ranks, context, "first");
  if (ranks.rank() != 1) sum(ranks, context, "second");
  sum(ranks, context, "third");
}
/// Rank 1 calls two collectives of the same type and size in the other order.
void swap(Communicator& ranks, Context& context) {
  const bool other = ranks.rank() == 1;
  const Tensor a = Tensor::zeros(context, {4}, DType::f32), b = Tensor::zeros(context, {4}, DType::f32);
  Pending first = ranks.all_reduce(other ? b : a, other ? Phase("second") : Phase("first"));
  Pending second = ranks.all_reduce(other ? a : b, other ? Phase("first") : Phase("second"));
  first.wait();
  second.wait();
  static_cast<void>(read_back<float>(a).get());
}
/// Rank 1 leaves out a collective, and no data tell the others. Nobody may read what came of it.
void uncompared(Communicator& ranks, Context& context) {
  const Tensor data = Tensor::zeros(context, {4}, DType::f32);
  if (ranks.rank() != 1) ranks.all_reduce(data, "left out").wait();
  ranks.all_reduce(data, "next").wait();
  static_cast<void>(read_back<float>(data).get());
  say("a result was read");
}
void kind(Communicator& ranks, Context& context) {
  if (ranks.rank() == 0) return ranks.barrier("same").wait();
  sum(ranks, context, "same");
}
void size(Communicator& ranks, Context& context) {
  sum(ranks, context, "sum", 4 + ranks.rank());
}
/// The mistake shows only in the next step.
void repeat(Communicator& ranks, Context& context) {
  for (int step = 1; step <= 3; ++step) {
    ranks.ledger().begin_step(step);
    sum(ranks, context, "layer");
    if (ranks.rank() == 1 && step == 2) sum(ranks, context, "layer");
  }
}
/// Rank 0 expects more rows than the other one sends, and rank 1 expects fewer.
void rows(Communicator& ranks, Context& context) {
  const std::vector<std::int64_t> send{2, 2}, receive{2, ranks.rank() == 0 ? 3 : 1};
  const std::int64_t sum_of_rows = ranks.rank() == 0 ? 5 : 3;
  const Tensor to = Tensor::zeros(context, {sum_of_rows, 3}, DType::f32);
  ranks.all_to_all(Tensor::zeros(context, {4, 3}, DType::f32), send, to, receive, "dispatch").wait();
}
/// Rank 1 expects `expected` rows of rank 0, which sends 4. Nothing else is wrong.
void expect_rows(Communicator& ranks, Context& context, std::int64_t expected) {
  const bool first = ranks.rank() == 0;
  const std::vector<std::int64_t> send{2, first ? 4 : 2}, receive{first ? 2 : expected, 2};
  const Tensor to = Tensor::zeros(context, {receive[0] + receive[1], 2}, DType::f32);
  ranks.all_to_all(Tensor::zeros(context, {send[0] + send[1], 2}, DType::f32), send, to, receive, "dispatch")
      .wait();
  ranks.barrier("after").wait();
}
void fewer(Communicator& ranks, Context& context) {
  expect_rows(ranks, context, 2);
}
void more(Communicator& ranks, Context& context) {
  expect_rows(ranks, context, 6);
}
void gather_fewer(Communicator& ranks, Context& context) {
  const Tensor mine = Tensor::zeros(context, {4, 2}, DType::f64);
  if (ranks.rank() == 1) return ranks.gather(mine, Tensor(), {}, 0, "to root").wait();
  const std::vector<std::int64_t> rows{4, 2};
  ranks.gather(mine, Tensor::zeros(context, {6, 2}, DType::f64), rows, 0, "to root").wait();
}
/// Both ranks expect less than they get. Their messages are too long to be sent without a receiver, so
/// neither rank can finish sending.
void long_fewer(Communicator& ranks, Context& context) {
  const int me = ranks.rank();
  const std::int64_t rows = std::int64_t{1} << 17;
  const std::vector<std::int64_t> send{rows, rows},
      receive{me == 0 ? rows : rows / 2, me == 0 ? rows / 2 : rows};
  const Tensor to = Tensor::zeros(context, {rows / 2 * 3, 2}, DType::f32);
  ranks.all_to_all(Tensor::zeros(context, {2 * rows, 2}, DType::f32), send, to, receive, "dispatch").wait();
}
void leave(Communicator& ranks, Context& context) {
  const auto group = ranks.split([](int rank) { return Communicator::Seat{0, rank}; }, "group");
  if (ranks.rank() != 1) sum(*group, context, "waiting");
}
void abort(Communicator& ranks, Context& context) {
  if (ranks.rank() == 1) ranks.abort(ExitCode::non_finite, "a loss is not finite");
  sum(ranks, context, "waiting");
}
void leave_by_exception(Communicator& ranks, Context& context) {
  if (ranks.rank() == 1) user_error("thrown", "", "");
  sum(ranks, context, "waiting");
}
/// There are groups on the stack, and a sum is running. The job must end with what was thrown.
void throw_in_mesh(Communicator& world, Context& context) {
  run_or_abort(world, [&](Communicator& ranks) {
    const Mesh mesh = make_mesh(ranks, {.ep = 2}, 4);
    const Tensor data = Tensor::zeros(context, {100}, DType::f32);
    const Pending pending = mesh.expert->all_reduce(data, "in flight");
    if (ranks.rank() == 1) user_error("no such file", "data.path", "name one");
    sum(*mesh.data, context, "waiting");
    sum(*mesh.expert, context, "waiting");
  });
}
/// Like mpirun 4.1.4 in a deadlock of its own: it waits for a thread that waits for a lock.
[[noreturn]] void lock_up() {
  std::mutex mutex;
  const std::scoped_lock lock(mutex);
  std::thread([&] { const std::scoped_lock never(mutex); }).join();
  std::abort();
}
/// Rank 1 hangs in a way of its own while the others wait for it.
void hang(Communicator& ranks, Context& context, void (*how)()) {
  const Watchdog watchdog(ranks, {.seconds = 2.0, .say = say});
  ranks.ledger().begin_step(7);
  ranks.ledger().begin_phase("gradients");
  sum(ranks, context, "first");
  if (ranks.rank() == 1) how();
  sum(ranks, context, "second");
}
void hang_stop(Communicator& ranks, Context& context) {
  hang(ranks, context, [] { raise(SIGSTOP); });
}
void hang_sleep(Communicator& ranks, Context& context) {
  hang(ranks, context, [] { std::this_thread::sleep_for(std::chrono::hours(1)); });
}
void hang_loop(Communicator& ranks, Context& context) {
  hang(ranks, context, [] {
    const std::atomic<bool> over = false;
    while (!over) {
    }
  });
}
void hang_finalise(Communicator& ranks, Context& context) {
  hang(ranks, context, [] {
    MPI_Finalize();
    _exit(3);
  });
}
void barrier(Communicator& ranks, Context&) {
  ranks.barrier("only one").wait();
}
void stop_at_end(Communicator& ranks, Context& context) {
  barrier(ranks, context);
  raise(SIGSTOP);
}
/// It takes long enough to be suspended meanwhile. Its moves are far enough apart to be suspended between
/// two.
void work(Communicator& ranks, Context& context) {
  const Watchdog watchdog(ranks, {.seconds = 2.0, .say = say});
  ranks.ledger().begin_phase("gradients");
  if (ranks.rank() == 0) say("works");
  for (int i = 0; i < 40; ++i) {
    if (i % 5 == 0) sum(ranks, context, "work");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}
/// Collectives of three groups, kernels and copies to the host in an order that `program` decides, which is
/// the same on all ranks. A device runs them in orders that nobody decides, and none of them may wait for
/// ever.
void mixed_steps(Communicator& ranks, Context& context, int steps, std::uint32_t program) {
  const auto pairs = ranks.split([](int rank) { return Communicator::Seat{rank / 2, rank}; }, "pairs");
  const auto others = ranks.split([](int rank) { return Communicator::Seat{rank % 2, rank}; }, "others");
  std::mt19937 random(program);
  for (int step = 0; step < steps; ++step) {
    ranks.ledger().begin_step(step);
    std::vector<Pending> pending;
    std::vector<std::pair<Tensor, double>> sums;
    for (int call = 0; call < 4; ++call) {
      Communicator& group = call == 0 ? ranks : random() % 2 == 0 ? *pairs : *others;
      const Tensor data = Tensor::empty(context, {std::int64_t{1} << (random() % 10)}, DType::f64);
      fill(data, 1.0 + call);
      pending.push_back(group.all_reduce(data, "step"));
      if (random() % 2 == 0) pending.back().wait();
      sums.emplace_back(data, (1.0 + call) * group.size());
    }
    if (random() % 4 == 0) ranks.barrier("meeting").wait();
    if (random() % 2 == 0) std::reverse(pending.begin(), pending.end());
    for (Pending& one : pending) one.wait();
    for (const auto& [data, expected] : sums) {
      const HostCopy<double> copy = read_back<double>(data);
      const bool right =
          std::ranges::all_of(copy.get(), [wanted = expected](double x) { return x == wanted; });
      if (!right) ranks.abort(ExitCode::failure, fmt::format("a wrong sum in step {}", step));
    }
  }
}
/// A collective of many messages, each of which is a move.
void moves(Communicator& ranks, Context& context) {
  const Tensor part = Tensor::zeros(context, {1000}, DType::f32);
  const Tensor whole = Tensor::zeros(context, {1000 * ranks.size()}, DType::f32);
  for (const bool gathers : {true, false}) {
    const std::int64_t before = ranks.ledger().status().moves;
    (gathers ? ranks.all_gather(part, whole, "whole") : ranks.all_reduce(whole, "whole")).wait();
    const std::int64_t moved = ranks.ledger().status().moves - before;
    if (moved < 100) ranks.abort(ExitCode::failure, fmt::format("{} moves in 100 pieces", moved));
  }
}
/// `again`: without those that look at what the ledger has counted since the program began.
void run_cases(Communicator& ranks, Context& context, bool again = false) {
  for (const CollectiveCase& one : collective_cases()) {
    if (again && one.name == "traffic") continue;
    try {
      one.run(ranks, context);
    } catch (const Error& error) {
      ranks.abort(ExitCode::failure, fmt::format("{}: {}", one.name, error.what()));
    }
  }
}
void cases(Communicator& ranks, Context& context) {
  run_cases(ranks, context);
  if (ranks.rank() == 0) fmt::print("all cases passed on {}\n", ranks.size());
}
/// All cases and some steps under as many orders of the emulated device as GRANULE_TEST_SEEDS says. Every
/// rank has an order of its own. The last "seed" on stderr is that of a failure.
void seeds(Communicator& ranks, Context& context) {
  const auto count = static_cast<std::uint32_t>(std::stoul(std::getenv("GRANULE_TEST_SEEDS")));
  for (std::uint32_t seed = 1; seed <= count; ++seed) {
    if (ranks.rank() == 0) say(fmt::format("seed {}", seed));
    reseed_emulation(std::uint64_t{seed} * 64 + static_cast<std::uint64_t>(ranks.rank()));
    run_cases(ranks, context, seed > 1);
    mixed_steps(ranks, context, 3, seed);
  }
  if (ranks.rank() == 0) fmt::print("{} seeds passed on {}\n", count, ranks.size());
}
/// Sums may have other bits than in rank order. What a test wants to know is printed.
void cases_in_any_order(Communicator& ranks, Context& context) {
  std::int64_t others = 0;
  for (const CollectiveCase& one : collective_cases()) {
    const bool needs_order = one.name.starts_with("sums in rank order");
    try {
      one.run(ranks, context);
    } catch (const Error& error) {
      if (!needs_order) ranks.abort(ExitCode::failure, fmt::format("{}: {}", one.name, error.what()));
      ++others;
    }
  }
  ranks.all_reduce(std::span(&others, 1), ReduceOp::max, "others").wait();
  if (ranks.rank() == 0) fmt::print("{} sums in another order on {}\n", others, ranks.size());
}
void uneven_cases(Communicator& ranks, Context& context) {
  for (const CollectiveCase& one : collective_cases()) {
    if (one.name == "traffic") continue;  // the ledger counts it twice
    DisturbedRanks uneven(ranks, random_pauses(1, ranks.rank()));
    one.run(uneven, context);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)(Communicator&, Context&)> modes{
      {"cases", cases},
      {"uneven-cases", uneven_cases},
      {"cases-in-any-order", cases_in_any_order},
      {"swap", swap},
      {"seeds", seeds},
      {"uncompared", uncompared},
      {"skip", skip},
      {"kind", kind},
      {"size", size},
      {"repeat", repeat},
      {"rows", rows},
      {"fewer", fewer},
      {"more", more},
      {"gather-fewer", gather_fewer},
      {"long-fewer", long_fewer},
      {"leave", leave},
      {"abort", abort},
      {"hang-stop", hang_stop},
      {"hang-sleep", hang_sleep},
      {"hang-loop", hang_loop},
      {"hang-finalise", hang_finalise},
      {"barrier", barrier},
      {"stop-at-end", stop_at_end},
      {"work", work},
      {"moves", moves},
      {"throw", leave_by_exception},
      {"throw-in-mesh", throw_in_mesh}};
  try {
    if (argc > 1 && std::string(argv[1]) == "job") {
      run_job([](Communicator& ranks) { fmt::print("a job of {}\n", ranks.size()); });
      return 0;
    }
    if (argc > 1 && std::string(argv[1]) == "end-launcher") {
      argc > 2 ? end_launcher_later(std::stoi(argv[2])) : end_launcher_later();
      return 0;
    }
    if (argc > 1 && std::string(argv[1]) == "lock-up") lock_up();
    MpiOptions options;
    if (argc > 2) options.largest_message = std::stoll(argv[2]);
    const auto ranks = make_mpi_communicator(options);
    TestContext context({.device = {.index = ranks->rank()}});
    const std::string mode = argc > 1 ? argv[1] : "cases";
    std::optional<CarriedTensors> carried;
    run_or_abort(*ranks, [&](Communicator& all) {
      carried.emplace(
          all, context,
          CarrierOptions{.deterministic = mode != "cases-in-any-order", .seconds = kConnectSeconds});
    });
    modes.at(mode)(*ranks, context);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
