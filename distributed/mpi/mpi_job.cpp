#include "distributed/mpi/mpi_job.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>

#include <unistd.h>

#include "distributed/mpi/end_launcher.hpp"
#include "distributed/mpi/launched.hpp"
#include "distributed/mpi/mpi_operation.hpp"

namespace granule {
namespace {

/// MPI_Abort ends the job at once, but not in every state that MPI may be in.
constexpr std::chrono::milliseconds kPatience{1500};

void end_process_soon(ExitCode code) {
  try {
    std::thread([code] {
      std::this_thread::sleep_for(kPatience);
      _exit(static_cast<int>(code));
    }).detach();
  } catch (const std::system_error&) {
    return;  // no thread is left, so only MPI_Abort ends it
  }
}

constexpr double kStartSeconds = 600.0, kEndSeconds = 60.0;
constexpr double kLeastEndSeconds = 10.0;  // for any config, because MPI_Finalize is not a step

/// GRANULE_MPI_SECONDS of the environment limits both waits, because there is no config yet when MPI starts.
double limit_or(double usual) {
  const char* const text = std::getenv("GRANULE_MPI_SECONDS");
  const double asked = text == nullptr ? 0.0 : std::atof(text);
  return asked > 0.0 ? asked : usual;
}

std::unique_ptr<WaitGuard> guard_wait(std::string_view what, double limit, std::string_view advice) {
  const auto print = [](std::string_view line) {
    fmt::print(stderr, "{}", fmt::format("granule: {}\n", line));
    std::fflush(stderr);
  };
  const int rank = launched_rank();
  return std::make_unique<WaitGuard>(
      WaitOptions{.what = std::string(what),
                  .advice = std::string(advice),
                  .limit_seconds = limit,
                  .say = [=](std::string_view line) { print(fmt::format("rank {} {}", rank, line)); },
                  .end =
                      [=](std::string_view line) {
                        print(fmt::format("error: rank {}: {}", rank, line));
                        end_launcher_later();
                        _exit(static_cast<int>(ExitCode::hang));
                      }});
}

}  // namespace

std::unique_ptr<WaitGuard> MpiJob::guard_of_start(std::string_view what) {
  return guard_wait(
      what, limit_or(kStartSeconds),
      "not all ranks have reached each other. If hosts have several networks, name one that they "
      "share: --mca btl_tcp_if_include NET --mca oob_tcp_if_include NET "
      "(docs/distributed.md)");
}

std::unique_ptr<WaitGuard> MpiJob::guard(std::string_view what) const {
  return guard_wait(what,
                    limit_or(end_seconds_ > 0.0 ? std::max(end_seconds_, kLeastEndSeconds) : kEndSeconds),
                    "another rank has not reached its end. Everything that was saved is complete");
}

MpiJob::MpiJob() {
  const auto guard = guard_of_start("MPI_Init");
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
      provided < MPI_THREAD_FUNNELED) {
    user_error("MPI could not be initialised", "MPI_Init_thread", "check the MPI launcher");
  }
  // This also holds for every communicator made from it.
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
}

MpiJob::~MpiJob() {
  const auto waiting = guard("MPI_Finalize");
  MPI_Finalize();
}

void MpiJob::abort(ExitCode code, std::string_view message) const {
  // Do this first, because nobody may read stderr any more.
  end_process_soon(code);
  end_launcher_later();
  fmt::print(stderr, "{}", fmt::format("granule: error: rank {}: {}\n", rank_, message));
  std::fflush(stdout);
  std::fflush(stderr);
  carriages_.abort();
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::abort();  // MPI_Abort does not return
}

void MpiJob::check(int result, std::string_view call, std::string_view what) const {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  abort(ExitCode::failure, fmt::format("{} failed ({}): {}", call, what, text.data()));
}

void MpiJob::advance() {
  for (std::size_t i = under_way_.size(); i-- > 0;)
    under_way_[i]->advance();  // an operation that ends removes itself
}

}  // namespace granule
