#include "tests/cuda_emulation/nccl/transfers.hpp"

#include <array>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/nccl/communicator.hpp"

namespace cuda_emulation::nccl {
namespace {

const char* name_of(const Envelope& envelope) {
  static constexpr std::array kCalls{"ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclBroadcast",
                                     "ncclSend"};
  return kCalls.at(static_cast<std::size_t>(envelope.call));
}

std::string text_of(const Envelope& envelope) {
  return std::string(name_of(envelope)) + " of " + std::to_string(envelope.bytes) + " bytes (type " +
         std::to_string(envelope.type) + ", reduction " + std::to_string(envelope.reduction) + ", root " +
         std::to_string(envelope.root) + ")";
}

/// Each message waits for the one before it with the same peer.
template <class Messages, class Advance>
bool advance_in_order(Messages& messages, const Advance& advance) {
  std::array<bool, kMostRanks> waits{};
  bool all = true;
  for (auto& message : messages) {
    bool& wait = waits.at(static_cast<std::size_t>(message.peer));
    if (!wait && !message.done()) advance(message);
    wait = wait || !message.done();
    all = all && message.done();
  }
  return all;
}

}  // namespace

void Transfers::send(int peer, const Envelope& envelope, const std::byte* from) {
  sent_.push_back({peer, envelope, from, nullptr});
}

void Transfers::receive(int peer, const Envelope& envelope, std::byte* to) {
  received_.push_back({peer, envelope, nullptr, to});
}

bool Transfers::advance(const Group& group) {
  const bool gone = advance_in_order(sent_, [&](Message& one) { advance_sent(group, one); });
  const bool come = advance_in_order(received_, [&](Message& one) { advance_received(group, one); });
  if (!gone || !come) return false;
  const DeviceAccess access;
  finish_();
  return true;
}

void Transfers::advance_sent(const Group& group, Message& message) {
  Pipe& pipe = group.pipe(group.rank(), message.peer);
  const auto head = std::as_bytes(std::span(&message.envelope, 1));
  if (message.moved < head.size()) message.moved += pipe.put(head.subspan(message.moved));
  if (message.moved < head.size() || pipe.room() == 0) return;
  const DeviceAccess access;
  const std::span body(message.from, message.envelope.bytes);
  message.moved += pipe.put(body.subspan(message.moved - head.size()));
}

void Transfers::advance_received(const Group& group, Message& message) {
  Pipe& pipe = group.pipe(message.peer, group.rank());
  const auto head = std::as_writable_bytes(std::span(&message.came, 1));
  if (message.moved < head.size()) message.moved += pipe.take(head.subspan(message.moved));
  if (message.moved < head.size()) return;
  if (message.came != message.envelope) {
    if (!play().compares) return;
    fail("NCCL: rank " + std::to_string(group.rank()) + " takes part in " + text_of(message.envelope) +
         ", and rank " + std::to_string(message.peer) + " in " + text_of(message.came));
  }
  if (pipe.come() == 0) return;
  const DeviceAccess access;
  const std::span body(message.to, message.envelope.bytes);
  message.moved += pipe.take(body.subspan(message.moved - head.size()));
}

const char* Transfers::name() const {
  if (sent_.empty() && received_.empty()) return "NCCL of one rank";
  return name_of((sent_.empty() ? received_ : sent_).at(0).envelope);
}

}  // namespace cuda_emulation::nccl
