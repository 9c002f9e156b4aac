// An operation of the fake NCCL: messages to and from other ranks, and what is made of them. It reads and
// writes its buffers while it runs, piece by piece. So whatever touches them meanwhile shows in the result.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/cuda_emulation/nccl/shared_memory.hpp"

namespace cuda_emulation::nccl {

class Group;

/// What an Envelope names. kSend is also that of a receiver.
enum Call : std::int32_t { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kSend };

/// What both ends of a message must agree on. It comes before the bytes.
struct Envelope {
  std::int32_t call = 0, type = 0, reduction = 0, root = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

class Transfers {
 public:
  void send(int peer, const Envelope& envelope, const std::byte* from);
  void receive(int peer, const Envelope& envelope, std::byte* to);
  /// Is called when everything has come.
  void at_end(std::function<void()> finish) { finish_ = std::move(finish); }
  /// Moves what can be moved. True if the operation has ended. Throws if another rank has called something
  /// else.
  [[nodiscard]] bool advance(const Group& group);
  /// Of the call, for traces.
  [[nodiscard]] const char* name() const;

 private:
  struct Message {
    int peer;
    Envelope envelope;
    const std::byte* from;
    std::byte* to;
    Envelope came{};
    std::size_t moved = 0;  // of the envelope and the bytes

    [[nodiscard]] bool done() const { return moved == sizeof(Envelope) + envelope.bytes; }
  };
  static void advance_sent(const Group& group, Message& message);
  static void advance_received(const Group& group, Message& message);

  std::vector<Message> sent_, received_;
  std::function<void()> finish_ = [] {};
};

}  // namespace cuda_emulation::nccl
