// NCCL as the carrier of tensors on CUDA devices. It needs no MPI: the ranks' own collectives on the host
// tell them how to find each other.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <vector>

#include "distributed/communicators/communicator.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "distributed/nccl/communication_stream.cuh"
#include "distributed/nccl/nccl_group.cuh"
#include "distributed/nccl/rank_order_sum.cuh"

namespace granule::gpu {
namespace {

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::bf16:
      return ncclBfloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    default:
      GRANULE_ASSERT(false, "NCCL: a collective of {}", name_of(dtype));
      return ncclNumTypes;
  }
}

/// Elements that go to a peer, or come from it.
struct Message {
  int peer;
  std::byte* data;
  std::int64_t elements;
};

/// A collective on its stream. The Context's kernels wait for it, not the host.
class NcclOperation final : public Operation {
 public:
  NcclOperation(const std::shared_ptr<CommunicationStream>& stream, const Collective& collective)
      : stream_(stream), end_(stream->stream()), buffers_{collective.held_input, collective.held_output} {}
  [[nodiscard]] bool poll() override {
    if (!end_.passed()) return false;
    wait();
    return true;
  }
  void wait() override { end_.comes_before(stream_->computation()); }

 private:
  std::shared_ptr<CommunicationStream> stream_;
  Mark end_;
  std::array<Tensor, 2> buffers_;
};

class NcclCarrier final : public DeviceCarrier {
 public:
  NcclCarrier(std::shared_ptr<CommunicationStream> stream, std::unique_ptr<NcclGroup> group,
              bool deterministic)
      : stream_(std::move(stream)), group_(std::move(group)), deterministic_(deterministic) {}

  [[nodiscard]] std::unique_ptr<Operation> start(const Collective& collective) override;
  [[nodiscard]] std::unique_ptr<DeviceCarrier> split(int color, int key) override;
  void poll() override {
    group_->check();
    stream_->check();
  }
  void abort() noexcept override { group_->abort(); }

 private:
  void enqueue(const Collective& call);
  /// Sums as NCCL likes.
  void sum(const Collective& call);
  /// Sums in rank order: each rank gets the addends of its part from all others. All ranks own parts of as
  /// many elements, but the last ones may be shorter.
  void sum_parts(const Collective& call, std::int64_t total, std::int64_t part);
  /// Adds elements [begin, begin + kSumPiece) of every part.
  void sum_piece(const Collective& call, std::int64_t total, std::int64_t part, std::int64_t begin);
  void exchange_rows(const Collective& call);
  void gather(const Collective& call);
  void exchange(const Collective& call, const std::vector<Message>& sent,
                const std::vector<Message>& received);
  void copy(const Collective& call, const std::byte* from, std::byte* to, std::int64_t elements);

  std::shared_ptr<CommunicationStream> stream_;
  std::unique_ptr<NcclGroup> group_;
  bool deterministic_;
};

std::unique_ptr<Operation> NcclCarrier::start(const Collective& collective) {
  GRANULE_CHECK(stream_of(collective.held_input) == stream_->computation(),
                "{} '{}': the tensor belongs to another Context than the carrier", name_of(collective.kind),
                collective.phase.name());
  Mark(stream_->computation()).comes_before(stream_->stream());
  enqueue(collective);
  return std::make_unique<NcclOperation>(stream_, collective);
}

std::unique_ptr<DeviceCarrier> NcclCarrier::split(int color, int key) {
  std::unique_ptr<NcclGroup> group = group_->split(color, key);
  if (group == nullptr) return nullptr;
  return std::make_unique<NcclCarrier>(stream_, std::move(group), deterministic_);
}

void NcclCarrier::enqueue(const Collective& call) {
  const auto count = static_cast<std::size_t>(call.count);
  switch (call.kind) {
    case CollectiveKind::all_reduce:
      if (!deterministic_) return sum(call);
      return sum_parts(call, call.count, ceil_div(call.count, group_->size()));
    case CollectiveKind::reduce_scatter:
      return deterministic_ ? sum_parts(call, call.count * group_->size(), call.count) : sum(call);
    case CollectiveKind::all_gather:
      if (count == 0) return;
      return group_->call("ncclAllGather", [&](ncclComm_t comm) {
        return ncclAllGather(call.input, call.output, count, type_of(call.dtype), comm, stream_->stream());
      });
    case CollectiveKind::broadcast:
      if (count == 0) return;
      return group_->call("ncclBroadcast", [&](ncclComm_t comm) {
        return ncclBroadcast(call.input, call.output, count, type_of(call.dtype), call.root, comm,
                             stream_->stream());
      });
    case CollectiveKind::all_to_all:
      return exchange_rows(call);
    case CollectiveKind::gather:
      return gather(call);
    case CollectiveKind::barrier:
    case CollectiveKind::leave:
      GRANULE_ASSERT(false, "NCCL: {} has no tensors", name_of(call.kind));
  }
}

void NcclCarrier::sum(const Collective& call) {
  if (call.count == 0) return;
  const bool whole = call.kind == CollectiveKind::all_reduce;
  const auto reduce = whole ? ncclAllReduce : ncclReduceScatter;
  group_->call(whole ? "ncclAllReduce" : "ncclReduceScatter", [&](ncclComm_t comm) {
    return reduce(call.input, call.output, static_cast<std::size_t>(call.count), type_of(call.dtype), ncclSum,
                  comm, stream_->stream());
  });
}

void NcclCarrier::sum_parts(const Collective& call, std::int64_t total, std::int64_t part) {
  for (std::int64_t begin = 0; begin < part; begin += kSumPiece) sum_piece(call, total, part, begin);
}

void NcclCarrier::sum_piece(const Collective& call, std::int64_t total, std::int64_t part,
                            std::int64_t begin) {
  const int me = group_->rank();
  const std::int64_t longest = std::min(kSumPiece, part - begin);
  // An aligned stride lets the sum access 16 bytes at once.
  const std::int64_t stride = align_up(call.bytes(longest)) / size_of(call.dtype);
  std::byte* const staging = stream_->staging(call.bytes(stride) * (group_->size() - 1));
  auto* const input = const_cast<std::byte*>(call.input);
  const auto piece_of = [&](int owner) {
    return std::clamp<std::int64_t>(total - owner * part - begin, 0, longest);
  };
  const auto place_of = [&](int owner) { return call.bytes(owner * part + begin); };
  std::vector<Message> addends, wanted, sums, arriving;
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == me) continue;
    addends.push_back({peer, input + place_of(peer), piece_of(peer)});
    wanted.push_back({peer, staging + call.bytes(stride) * std::ssize(wanted), piece_of(me)});
    if (call.kind != CollectiveKind::all_reduce) continue;
    sums.push_back({peer, call.output + place_of(me), piece_of(me)});
    arriving.push_back({peer, call.output + place_of(peer), piece_of(peer)});
  }
  exchange(call, addends, wanted);
  std::byte* const sum =
      call.output + (call.kind == CollectiveKind::all_reduce ? place_of(me) : call.bytes(begin));
  sum_in_rank_order(stream_->stream(), call.dtype, piece_of(me),
                    {input + place_of(me), staging, stride, me, group_->size()}, sum);
  exchange(call, sums, arriving);
}

/// Where each rank's elements are in a buffer that has those of all ranks in order.
std::vector<Message> parts_of(const Collective& call, const std::byte* data,
                              const std::vector<std::int64_t>& counts) {
  std::vector<Message> parts;
  auto* at = const_cast<std::byte*>(data);
  for (const std::int64_t count : counts) {
    parts.push_back({static_cast<int>(parts.size()), at, count});
    at += call.bytes(count);
  }
  return parts;
}

void NcclCarrier::exchange_rows(const Collective& call) {
  std::vector<Message> sent = parts_of(call, call.input, call.input_counts),
                       received = parts_of(call, call.output, call.output_counts);
  const auto me = group_->rank();
  const Message own = sent[static_cast<std::size_t>(me)];
  copy(call, own.data, received[static_cast<std::size_t>(me)].data, own.elements);
  sent.erase(sent.begin() + me);
  received.erase(received.begin() + me);
  exchange(call, sent, received);
}

void NcclCarrier::gather(const Collective& call) {
  const int me = group_->rank();
  auto* const mine = const_cast<std::byte*>(call.input);
  if (me != call.root) return exchange(call, {{call.root, mine, call.count}}, {});
  std::vector<Message> received = parts_of(call, call.output, call.output_counts);
  copy(call, mine, received[static_cast<std::size_t>(me)].data, call.count);
  received.erase(received.begin() + me);
  exchange(call, {}, received);
}

/// Empty messages are left out on both sides.
void NcclCarrier::exchange(const Collective& call, const std::vector<Message>& sent,
                           const std::vector<Message>& received) {
  const auto is_there = [](const Message& one) { return one.elements > 0; };
  if (std::ranges::none_of(sent, is_there) && std::ranges::none_of(received, is_there)) return;
  group_->call("ncclSend and ncclRecv", [&](ncclComm_t comm) {
    ncclResult_t result = ncclSuccess;
    const auto each = [&](const std::vector<Message>& messages, const auto& function) {
      for (const Message& one : messages) {
        if (result == ncclSuccess && is_there(one))
          result = function(one.data, static_cast<std::size_t>(one.elements), type_of(call.dtype), one.peer,
                            comm, stream_->stream());
      }
    };
    each(sent, ncclSend);
    each(received, ncclRecv);
    return result;
  });
}

void NcclCarrier::copy(const Collective& call, const std::byte* from, std::byte* to, std::int64_t elements) {
  if (elements == 0) return;
  GRANULE_GPU_CHECK(cudaMemcpyAsync(to, from, static_cast<std::size_t>(call.bytes(elements)),
                                    cudaMemcpyDeviceToDevice, stream_->stream()));
}

/// Rank 0 makes the id. A sum with zeros brings it to the others.
ncclUniqueId shared_id(Communicator& ranks) {
  ncclUniqueId id{};
  std::array<std::int64_t, sizeof(id) / sizeof(std::int64_t)> words{};
  if (ranks.rank() == 0) {
    const ncclResult_t result = ncclGetUniqueId(&id);
    GRANULE_CHECK(result == ncclSuccess, "ncclGetUniqueId: {}", ncclGetErrorString(result));
    std::memcpy(words.data(), &id, sizeof(id));
  }
  ranks.all_reduce(std::span(words), ReduceOp::sum, "NCCL's id").wait();
  std::memcpy(&id, words.data(), sizeof(id));
  return id;
}

std::unique_ptr<DeviceCarrier> make_carrier(Context& context, Communicator& ranks,
                                            const CarrierOptions& options) {
  return std::make_unique<NcclCarrier>(
      std::make_shared<CommunicationStream>(context),
      std::make_unique<NcclGroup>(shared_id(ranks), ranks.rank(), ranks.size(), options.seconds),
      options.deterministic);
}

/// Of the library that was loaded: 22809 is 2.28.9.
std::string version() {
  int code = 0;
  const ncclResult_t result = ncclGetVersion(&code);
  GRANULE_CHECK(result == ncclSuccess, "ncclGetVersion: {}", ncclGetErrorString(result));
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

const Kernels kCarrier([] {
  offer_device_carrier(DeviceType::cuda, make_carrier, version());
  return 0;
});

}  // namespace
}  // namespace granule::gpu
