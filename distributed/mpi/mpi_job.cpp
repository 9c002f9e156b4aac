#include "distributed/mpi/mpi_job.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>
#include <thread>

#include <unistd.h>

#include "distributed/mpi/mpi_operation.hpp"

namespace granule {
namespace {

/// MPI_Abort ends the job at once, but not out of every state that MPI may be in.
constexpr std::chrono::milliseconds kPatience{1500};

void end_process_soon(ExitCode code) {
  try {
    std::thread([code] {
      std::this_thread::sleep_for(kPatience);
      _exit(static_cast<int>(code));
    }).detach();
  } catch (const std::system_error&) {
    return;  // no more threads: MPI_Abort alone
  }
}

}  // namespace

MpiJob::MpiJob() {
  int provided = MPI_THREAD_SINGLE;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
      provided < MPI_THREAD_FUNNELED) {
    user_error("MPI could not be initialised", "MPI_Init_thread", "check the MPI launcher");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);  // and so of every communicator made from it
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
}

MpiJob::~MpiJob() {
  MPI_Finalize();
}

void MpiJob::abort(ExitCode code, std::string_view message) const {
  fmt::print(stderr, "{}", fmt::format("granule: error: rank {}: {}\n", rank_, message));
  std::fflush(stdout);
  std::fflush(stderr);
  end_process_soon(code);
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

void MpiJob::progress() {
  for (std::size_t i = under_way_.size(); i-- > 0;)
    under_way_[i]->advance();  // one that ends takes itself out
}

}  // namespace granule
