#include "apps/runs/shared_directory.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "apps/program/console.hpp"
#include "data/files/atomic_file.hpp"
#include "distributed/agreement.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSignPrefix = ".shared-";
/// A network file system may show a new file a little later.
constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::milliseconds kPause{100};

/// The name is new every time, because a file system may remember that an earlier one was absent.
std::string new_sign() {
  std::random_device random;
  return fmt::format("{}{:08x}{:08x}", kSignPrefix, random(), random());
}

void sweep_signs(const fs::path& run) {
  std::error_code error;
  for (fs::directory_iterator entry(run, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->path().filename().string().starts_with(kSignPrefix)) fs::remove(entry->path(), ignored);
  }
}

bool finds(const fs::path& sign) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::error_code ignored;
  while (!fs::exists(sign, ignored)) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

/// The lowest rank that does not see what rank 0 writes, or the number of ranks if there is none.
int first_apart(Communicator& ranks, const Hosts& hosts, const fs::path& run) {
  std::string sign;
  agree(ranks, [&] {
    if (ranks.rank() != 0) return;
    sweep_signs(run);
    sign = new_sign();
    write_file(run / sign, "The hosts of this job look whether they share this directory.\n");
  });
  sign = text_of_rank_0(ranks, sign, "shared directory");
  const bool apart = hosts.verifies() && !finds(run / sign);
  std::int64_t first = apart ? ranks.rank() : ranks.size();
  ranks.all_reduce(std::span(&first, 1), ReduceOp::min, "shared directory").wait();
  if (ranks.rank() == 0) sweep_signs(run);
  return static_cast<int>(first);
}

/// "step-00000020, step-00000010", or "none".
std::string checkpoints_seen(const fs::path& run) {
  std::string names;
  for (const StepDirectory& listed : list_checkpoints(run))
    names += (names.empty() ? "" : ", ") + checkpoint_name(listed.step);
  return names.empty() ? "none" : names;
}

}  // namespace

void check_shared(Communicator& ranks, const Hosts& hosts, const fs::path& run, Going going) {
  if (hosts.views() == 1) return;
  const int apart = first_apart(ranks, hosts, run);
  if (apart == ranks.size()) return;
  const std::string where =
      fmt::format("{} does not see what {} writes there", hosts.text(apart), hosts.text(0));
  std::string mine;
  agree(ranks, [&] { mine = checkpoints_seen(run); });
  const std::vector<std::string> seen = texts_of_all(ranks, mine, "shared directory");
  const auto other = std::ranges::find_if(seen, [&](const std::string& names) { return names != seen[0]; });
  if (going == Going::on && other != seen.end()) {
    const auto rank = static_cast<int>(other - seen.begin());
    throw AgreedError(ExitCode::user,
                      fmt::format("the run directory is not shared: {}. Checkpoints of {}: {}; of {}: {}",
                                  where, hosts.text(0), seen[0], hosts.text(rank), *other),
                      run.string(),
                      "put it where all hosts see it under this path, or copy checkpoints/ to every host");
  }
  if (ranks.rank() != 0) return;
  say("granule: warning: the run directory is not shared: {} ({}): --resume will need its checkpoints on "
      "every "
      "host",
      where, run.string());
}

}  // namespace granule
