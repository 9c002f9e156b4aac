// The part of NCCL that the plug-in calls, with NVIDIA's own prototypes. Ranks are processes of one host.
// What a program must not do throws and says so.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/nccl/communicator.hpp"

using namespace cuda_emulation;
using namespace cuda_emulation::nccl;

namespace {

/// Calls between ncclGroupStart and ncclGroupEnd.
struct Grouped {
  ncclComm_t comm;
  cudaStream_t stream;
  std::shared_ptr<Transfers> operation;
  bool point_to_point;
};
int depth = 0;
std::vector<Grouped> grouped;

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclFloat64:
      return 8;
    default:
      fail("NCCL: this type is not emulated");
  }
}

void require_buffer(const void* data, std::size_t bytes, const char* call) {
  if (bytes > 0 && !is_on_device(data, bytes))
    fail(std::string(call) + ": a buffer that is not inside one allocation of the device");
}

template <class T>
void add_as(std::byte* sum, const std::byte* addend, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes / sizeof(T); ++i) {
    T a, b;
    std::memcpy(&a, sum + i * sizeof(T), sizeof(T));
    std::memcpy(&b, addend + i * sizeof(T), sizeof(T));
    a += b;
    std::memcpy(sum + i * sizeof(T), &a, sizeof(T));
  }
}

void add(ncclDataType_t type, std::byte* sum, const std::byte* addend, std::size_t bytes) {
  switch (type) {
    case ncclFloat32:
      return add_as<float>(sum, addend, bytes);
    case ncclFloat64:
      return add_as<double>(sum, addend, bytes);
    case ncclInt32:
      return add_as<std::int32_t>(sum, addend, bytes);
    case ncclInt64:
      return add_as<std::int64_t>(sum, addend, bytes);
    default:
      fail("NCCL: a sum of this type is not emulated");
  }
}

void flush() {
  for (std::size_t i = 0; i < grouped.size(); ++i) {
    if (grouped[i].stream != grouped[0].stream)
      fail("NCCL: calls on several streams in one group are not emulated");
    grouped[i].comm->group->launch(grouped[i].stream, grouped[i].operation);
  }
  grouped.clear();
}

ncclResult_t answer(const Group& group) {
  return group.blocking() ? ncclSuccess : ncclInProgress;
}

/// The operation to which a call belongs. Messages of one group are one operation, because they may wait for
/// each other.
Transfers& operation_of(ncclComm_t comm, cudaStream_t stream, bool point_to_point) {
  comm->group->require_ready();
  const auto same = std::ranges::find_if(
      grouped, [&](const Grouped& one) { return point_to_point && one.point_to_point && one.comm == comm; });
  if (same != grouped.end()) return *same->operation;
  return *grouped.emplace_back(comm, stream, std::make_shared<Transfers>(), point_to_point).operation;
}

ncclResult_t end_of_call(ncclComm_t comm) {
  if (depth > 0) return ncclSuccess;
  flush();
  return answer(*comm->group);
}

/// Copies of what every rank contributes, in the order of the ranks.
struct Addends {
  std::vector<std::vector<std::byte>> of_rank;
};

/// Sums whose order is another one for each piece, as in a ring. `first` is the rank of the first addend.
void add_in_ring(ncclDataType_t type, const Addends& addends, std::size_t begin, std::size_t bytes,
                 std::size_t first, std::byte* to) {
  const std::size_t ranks = addends.of_rank.size();
  std::memcpy(to, addends.of_rank[first].data() + begin, bytes);
  for (std::size_t i = 1; i < ranks; ++i)
    add(type, to, addends.of_rank[(first + i) % ranks].data() + begin, bytes);
}

/// Sends `part(peer)` to every other rank and receives as many bytes, which are this rank's own part of
/// theirs.
template <class PartOf>
std::shared_ptr<Addends> exchange_addends(Transfers& operation, const Group& group, const Envelope& envelope,
                                          const PartOf& part) {
  const auto addends = std::make_shared<Addends>();
  addends->of_rank.resize(static_cast<std::size_t>(group.size()));
  for (int peer = 0; peer < group.size(); ++peer) {
    auto& came = addends->of_rank[static_cast<std::size_t>(peer)];
    came.resize(envelope.bytes);
    if (peer == group.rank()) continue;
    operation.send(peer, envelope, part(peer));
    operation.receive(peer, envelope, came.data());
  }
  return addends;
}

}  // namespace

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess        ? "no error"
         : result == ncclRemoteError  ? "remote process exited or there was a network error"
         : result == ncclInvalidUsage ? "invalid usage"
                                      : "an error of the emulated NCCL";
}
const char* ncclGetLastError(ncclComm_t /*comm*/) {
  return "";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static auto& boards = *new std::vector<std::unique_ptr<SharedBoard>>;  // until all ranks have opened them
  const MemoryName name = boards.emplace_back(std::make_unique<SharedBoard>())->name();
  std::memset(id, 0, sizeof(*id));
  std::memcpy(id, &name, sizeof(name));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (ranks > kMostRanks || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  MemoryName name;
  std::memcpy(static_cast<void*>(&name), &id, sizeof(name));
  const bool blocking = config == nullptr || config->blocking != 0;
  *comm = new ncclComm{std::make_shared<Group>(std::make_unique<SharedBoard>(name), rank, ranks, blocking)};
  if (blocking) (*comm)->group->advance_until_done();
  return answer(*(*comm)->group);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* made, ncclConfig_t* config) {
  Group& group = *comm->group;
  group.split(color, key, config == nullptr ? group.blocking() : config->blocking != 0, made);
  if (group.blocking()) group.advance_until_done();
  return answer(group);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  comm->group->finalize();
  if (comm->group->blocking()) comm->group->advance_until_done();
  return answer(*comm->group);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (!comm->group->finalized()) fail("NCCL: a communicator is destroyed before it is finalised");
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->group->abort();  // another thread may use it at this moment, so it is not deleted
  if (play().tells) {
    std::fprintf(stderr, "emulated NCCL: aborted on rank %d of %d\n", comm->group->rank(),
                 comm->group->size());
    std::fflush(stderr);
  }
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  *error = comm->group->advance();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  *count = comm->group->size();
  return ncclSuccess;
}
ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  *rank = comm->group->rank();
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++depth;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  if (depth == 0) fail("NCCL: ncclGroupEnd without ncclGroupStart");
  if (--depth > 0 || grouped.empty()) return ncclSuccess;
  const std::shared_ptr<Group> group = grouped.front().comm->group;
  flush();
  return answer(*group);
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t reduction, ncclComm_t comm, cudaStream_t stream) {
  if (reduction != ncclSum) fail("NCCL: this reduction is not emulated");
  const std::size_t bytes = count * size_of(type), unit = size_of(type);
  require_buffer(from, bytes, "ncclAllReduce");
  require_buffer(to, bytes, "ncclAllReduce");
  Transfers& operation = operation_of(comm, stream, false);
  const auto* const input = static_cast<const std::byte*>(from);
  auto* const output = static_cast<std::byte*>(to);
  const Group& group = *comm->group;
  const auto addends =
      exchange_addends(operation, group, {kAllReduce, type, reduction, 0, bytes}, [&](int) { return input; });
  operation.at_end([=, me = static_cast<std::size_t>(group.rank())] {
    addends->of_rank[me].assign(input, input + bytes);
    const std::size_t ranks = addends->of_rank.size(), piece = (count + ranks - 1) / ranks * unit;
    for (std::size_t i = 0, at = 0; at < bytes; ++i, at += piece)
      add_in_ring(type, *addends, at, std::min(piece, bytes - at), (i + 1) % ranks, output + at);
  });
  return end_of_call(comm);
}

ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t reduction, ncclComm_t comm, cudaStream_t stream) {
  if (reduction != ncclSum) fail("NCCL: this reduction is not emulated");
  const Group& group = *comm->group;
  const std::size_t bytes = count * size_of(type);
  require_buffer(from, bytes * static_cast<std::size_t>(group.size()), "ncclReduceScatter");
  require_buffer(to, bytes, "ncclReduceScatter");
  Transfers& operation = operation_of(comm, stream, false);
  const auto* const input = static_cast<const std::byte*>(from);
  auto* const output = static_cast<std::byte*>(to);
  const auto part = [=](int rank) { return input + static_cast<std::size_t>(rank) * bytes; };
  const auto addends = exchange_addends(operation, group, {kReduceScatter, type, reduction, 0, bytes}, part);
  operation.at_end([=, me = group.rank()] {
    const auto own = static_cast<std::size_t>(me);
    addends->of_rank[own].assign(part(me), part(me) + bytes);
    add_in_ring(type, *addends, 0, bytes, (own + 2) % addends->of_rank.size(), output);
  });
  return end_of_call(comm);
}

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  const Group& group = *comm->group;
  const std::size_t bytes = count * size_of(type), ranks = static_cast<std::size_t>(group.size());
  require_buffer(from, bytes, "ncclAllGather");
  require_buffer(to, bytes * ranks, "ncclAllGather");
  Transfers& operation = operation_of(comm, stream, false);
  const auto* const input = static_cast<const std::byte*>(from);
  auto* const output = static_cast<std::byte*>(to);
  auto* const own = output + static_cast<std::size_t>(group.rank()) * bytes;
  if (input != own && input < output + bytes * ranks && output < input + bytes)
    fail("ncclAllGather: the input overlaps the output and is not this rank's part of it");
  const Envelope envelope{kAllGather, type, 0, 0, bytes};
  for (int peer = 0; peer < group.size(); ++peer) {
    if (peer == group.rank()) continue;
    operation.send(peer, envelope, input);
    operation.receive(peer, envelope, output + static_cast<std::size_t>(peer) * bytes);
  }
  operation.at_end([=] { std::memmove(own, input, bytes); });
  return end_of_call(comm);
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  const Group& group = *comm->group;
  const std::size_t bytes = count * size_of(type);
  require_buffer(to, bytes, "ncclBroadcast");
  Transfers& operation = operation_of(comm, stream, false);
  const auto* const input = static_cast<const std::byte*>(from);
  auto* const output = static_cast<std::byte*>(to);
  const Envelope envelope{kBroadcast, type, 0, root, bytes};
  if (group.rank() != root) {
    operation.receive(root, envelope, output);
    return end_of_call(comm);
  }
  require_buffer(from, bytes, "ncclBroadcast");
  for (int peer = 0; peer < group.size(); ++peer) {
    if (peer != root) operation.send(peer, envelope, input);
  }
  operation.at_end([=] { std::memmove(output, input, bytes); });
  return end_of_call(comm);
}

ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  require_buffer(from, bytes, "ncclSend");
  operation_of(comm, stream, true)
      .send(peer, {kSend, type, 0, 0, bytes}, static_cast<const std::byte*>(from));
  return end_of_call(comm);
}
ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  const std::size_t bytes = count * size_of(type);
  require_buffer(to, bytes, "ncclRecv");
  operation_of(comm, stream, true).receive(peer, {kSend, type, 0, 0, bytes}, static_cast<std::byte*>(to));
  return end_of_call(comm);
}

}  // extern "C"
