// Streams of the emulated device. Their operations wait until somebody waits for them or asks for news. Which
// stream goes on is random and repeatable, so a missing wait shows in the result.
#include "tests/cuda_emulation/runtime/streams.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/random_order.hpp"

namespace cuda_emulation {
namespace {

constexpr int kSpins = 100;
constexpr std::chrono::microseconds kNap{50};

std::vector<CUstream_st*>& streams() {
  static std::vector<CUstream_st*> all;
  return all;
}

CUstream_st& known(cudaStream_t stream) {
  const auto& all = streams();
  if (std::find(all.begin(), all.end(), stream) == all.end())
    fail(
        "this stream does not exist; the default streams have no place here, because they wait for each "
        "other");
  return *stream;
}

/// If other processes do something else than this one expects, no stream ever goes on.
bool may_start(const Work& work) {
  try {
    return work.may_start();
  } catch (...) {
    for (CUstream_st* const stream : streams()) stream->work.clear();
    throw;
  }
}

/// Runs the first operation of a stream, if it may start.
bool step(CUstream_st& stream) {
  if (!may_start(Work(stream.work.front()))) return false;
  const Work work = std::move(stream.work.front());
  stream.work.pop_front();
  std::optional<DeviceAccess> access;
  if (work.touches_memory) access.emplace();
  work.run();
  return true;
}

/// One operation of a random stream that can go on.
bool step_any() {
  static RandomOrder order;
  order.restart_if_new(settings().seed);
  std::vector<CUstream_st*> busy;
  for (CUstream_st* const stream : streams()) {
    if (!stream->work.empty()) busy.push_back(stream);
  }
  if (busy.empty()) return false;
  order.shuffle(busy);
  return std::any_of(busy.begin(), busy.end(), [](CUstream_st* stream) { return step(*stream); });
}

void trace(const CUstream_st& stream, const Work& work) {
  static const char* const folder = std::getenv("GRANULE_EMULATED_TRACE");
  if (folder == nullptr) return;
  static std::ofstream file(std::string(folder) + "/" + std::to_string(current_device()) + ".trace");
  file << stream.number << ' ' << work.name << std::endl;  // the program may end without a last word
}

bool waits_for_others() {
  return std::ranges::any_of(streams(), [](const CUstream_st* stream) {
    return !stream->work.empty() && stream->work.front().needs_others;
  });
}

void drain_until(const std::function<bool()>& done) {
  if (done()) return;
  const DeviceAccess access;
  for (int idle = 0; !done(); ++idle) {
    if (step_any()) {
      idle = 0;
      continue;
    }
    if (!waits_for_others())
      fail("the streams are deadlocked: each waits for an event that is never recorded");
    // Other processes may need this core for what is waited for.
    if (idle < kSpins) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kNap);
    }
  }
}

}  // namespace

Settings& settings() {
  static Settings all = [] {
    Settings read;
    if (const char* const schedule = std::getenv("GRANULE_EMULATED_SCHEDULE")) {
      const std::string_view name(schedule);
      read.order = name == "forward" ? Order::forward : name == "reverse" ? Order::reverse : Order::random;
      if (read.order == Order::random) read.seed = std::stoull(schedule);
    }
    if (const char* const devices = std::getenv("GRANULE_EMULATED_DEVICES"))
      read.devices = std::stoi(devices);
    if (const char* const memory = std::getenv("GRANULE_EMULATED_MEMORY")) read.memory = std::stoull(memory);
    return read;
  }();
  return all;
}

Counts& counts() {
  static Counts all;
  return all;
}

CUstream_st* make_stream() {
  static int made = 0;
  streams().push_back(new CUstream_st{.number = made++});
  ++live().streams;
  return streams().back();
}

void destroy_stream(CUstream_st* stream) {
  drain(stream);
  std::erase(streams(), stream);
  --live().streams;
  delete stream;
}

bool is_idle(cudaStream_t stream) {
  return known(stream).work.empty();
}

void submit(cudaStream_t stream, Work work) {
  trace(known(stream), work);
  known(stream).work.push_back(std::move(work));
}

void drain(cudaStream_t stream) {
  CUstream_st& one = known(stream);
  drain_until([&] { return one.work.empty(); });
}

void drain_all() {
  drain_until([] {
    return std::all_of(streams().begin(), streams().end(),
                       [](CUstream_st* one) { return one->work.empty(); });
  });
}

void make_progress() {
  step_any();
}

void wait_for(const CUevent_st& event) {
  const std::uint64_t number = event.recorded;
  drain_until([&] { return event.state->done >= number; });
}

}  // namespace cuda_emulation

/// For programs that load the emulated plug-in, and so see nothing else of the machine.
extern "C" void granule_emulation_reseed(std::uint64_t seed) {
  cuda_emulation::settings().order = cuda_emulation::Order::random;
  cuda_emulation::settings().seed = seed;
}
