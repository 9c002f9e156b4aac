#include <utility>

#include "core/background.hpp"
#include "core/error.hpp"
#include "distributed/nccl/nccl_group.cuh"

namespace granule::gpu {
namespace {

ncclConfig_t without_blocking() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

bool is_accepted(ncclResult_t result) {
  return result == ncclSuccess || result == ncclInProgress;
}

}  // namespace

NcclGroup::NcclGroup(const ncclUniqueId& id, int rank, int size, double seconds)
    : seconds_(seconds), rank_(rank), size_(size) {
  ncclConfig_t config = without_blocking();
  const ncclResult_t result = ncclCommInitRankConfig(&comm_, size, id, rank, &config);
  if (!is_accepted(result)) fail(result, "ncclCommInitRankConfig");
  wait_while_in_progress("ncclCommInitRankConfig");
}

NcclGroup::NcclGroup(ncclComm_t comm, double seconds) : comm_(comm), seconds_(seconds) {
  wait_while_in_progress("ncclCommSplit");
  ncclCommUserRank(comm_, &rank_);
  ncclCommCount(comm_, &size_);
}

NcclGroup::~NcclGroup() {
  try {
    if (comm_ != nullptr && is_accepted(ncclCommFinalize(comm_))) wait_while_in_progress("ncclCommFinalize");
    if (comm_ != nullptr) ncclCommDestroy(comm_);
  } catch (const Error&) {
    abort();
  }
}

std::unique_ptr<NcclGroup> NcclGroup::split(int color, int key) {
  ncclComm_t made = nullptr;
  ncclConfig_t config = without_blocking();
  {
    const std::scoped_lock lock(mutex_);
    const ncclResult_t result =
        ncclCommSplit(comm_, color < 0 ? NCCL_SPLIT_NOCOLOR : color, key, &made, &config);
    if (!is_accepted(result)) fail(result, "ncclCommSplit");
  }
  wait_while_in_progress("ncclCommSplit");
  return made == nullptr ? nullptr : std::unique_ptr<NcclGroup>(new NcclGroup(made, seconds_));
}

void NcclGroup::call(std::string_view what, const std::function<ncclResult_t(ncclComm_t)>& calls) {
  {
    const std::scoped_lock lock(mutex_);
    if (comm_ == nullptr) return;
    ncclGroupStart();
    const ncclResult_t called = calls(comm_), ended = ncclGroupEnd();
    for (const ncclResult_t result : {called, ended}) {
      if (!is_accepted(result)) fail(result, what);
    }
  }
  wait_while_in_progress(what);
}

void NcclGroup::check() {
  if (const ncclResult_t result = state(); !is_accepted(result)) fail(result, "collectives");
}

void NcclGroup::abort() noexcept {
  const std::scoped_lock lock(mutex_);
  if (const ncclComm_t comm = std::exchange(comm_, nullptr)) ncclCommAbort(comm);
}

ncclResult_t NcclGroup::state() {
  const std::scoped_lock lock(mutex_);
  if (comm_ == nullptr) return ncclSuccess;
  ncclResult_t found = ncclSuccess;
  const ncclResult_t result = ncclCommGetAsyncError(comm_, &found);
  return result == ncclSuccess ? found : result;
}

void NcclGroup::wait_while_in_progress(std::string_view what) {
  const auto begin = std::chrono::steady_clock::now();
  ncclResult_t now = state();
  if (now == ncclInProgress) {
    wait_until([&] {
      now = state();
      const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
      if (now == ncclInProgress && waited.count() > seconds_)
        throw Error(ExitCode::hang, fmt::format("NCCL is not done after {:g} s", seconds_), what,
                    "not all ranks have come, or their GPUs cannot reach each other: NCCL_DEBUG=INFO tells "
                    "more");
      return now != ncclInProgress;
    });
  }
  if (now != ncclSuccess) fail(now, what);
}

void NcclGroup::fail(ncclResult_t result, std::string_view what) {
  const char* const last = ncclGetLastError(nullptr);
  const std::string more = last == nullptr || *last == '\0' ? "" : fmt::format(" ({})", last);
  throw Error(ExitCode::failure, fmt::format("NCCL: {}{}", ncclGetErrorString(result), more), what,
              "NCCL_DEBUG=INFO tells more");
}

}  // namespace granule::gpu
