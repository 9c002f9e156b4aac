// Runs the threads of a block on fibers. A thread runs until it must wait for others. Each warp in turn runs
// as far as it can, so warps are as far apart in time as barriers allow, and a missing barrier shows in the
// result.
#include <algorithm>
#include <exception>
#include <map>
#include <new>
#include <optional>
#include <stdexcept>

#include "tests/cuda_emulation/emulation.hpp"
#include "tests/cuda_emulation/kernels/fibers.hpp"
#include "tests/cuda_emulation/random_order.hpp"

dim3 gridDim, blockDim;

namespace cuda_emulation {
namespace {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStaticSharedMemory = std::size_t{48} * 1024;
constexpr std::array kNames{"__syncwarp",     "__shfl_sync", "__shfl_xor_sync", "__shfl_down_sync",
                            "__shfl_up_sync", "vote",        "__match_any_sync"};

enum class State : std::uint8_t { fresh, running, waiting, done };

/// Lanes of one warp that meet. Two generations of values are kept, because lanes read after the meeting.
struct Meeting {
  unsigned mask = 0, arrived = 0;
  std::uint32_t generation = 0;
  Collective kind = Collective::sync;
  Location where;
  std::uint64_t values[2][kWarp];
};

struct BlockThread : Thread {
  State state = State::fresh;
  Fiber* fiber = nullptr;
  const std::uint32_t* awaited = nullptr;  // it waits until this number changes
  std::uint32_t seen = 0;
  const char* what = "";
  Location where;
};

struct Votes {
  int count = 0, all = 1, any = 0;
};

struct Block {
  std::vector<BlockThread> threads;
  std::vector<std::vector<std::unique_ptr<Meeting>>> meetings;  // of each warp
  unsigned left = 0, arrived = 0, returned = 0;
  std::uint32_t generation = 0;
  Location where;
  Votes votes[2];
  std::vector<void*> shared;
  void* dynamic = nullptr;
  std::size_t static_bytes = 0, dynamic_bytes = 0;
};

Block block;
uint3 block_index{};
BlockThread* now = nullptr;
const Launch* launched = nullptr;
std::exception_ptr failure;
std::vector<unsigned> turns;  // the threads of the warp that runs
std::size_t turn = 0;
RandomOrder random_order;
std::vector<void*> shared_memory;  // of the blocks that ran; freed block by block
int shared_variables = 0;
char start_of_launch, end_of_launch, fences;  // for ThreadSanitizer

bool same_place(const Location& a, const Location& b) {
  return a.line() == b.line() && a.column() == b.column() && std::string_view(a.file_name()) == b.file_name();
}

std::exception_ptr error_of(const std::string& text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

void free_shared_memory() {
  for (void* const memory : shared_memory) std::free(memory);
  shared_memory.clear();
}

/// A heap block of its own, so that AddressSanitizer guards its ends.
void* new_shared_memory(std::size_t bytes, std::size_t alignment) {
  const std::size_t aligned = std::max<std::size_t>(alignment, 16);
  void* const memory =
      std::aligned_alloc(aligned, (std::max<std::size_t>(bytes, 1) + aligned - 1) / aligned * aligned);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0xff, bytes);
  shared_memory.push_back(memory);
  return memory;
}

void open_barrier() {
  block.arrived = 0;
  ++block.generation;
  block.votes[block.generation & 1U] = {};
}

void after_return(const BlockThread& thread) {
  --block.left;
  ++block.returned;
  if (block.arrived == 0 || failure) return;
  failure =
      error_of(std::to_string(block.arrived) + " thread(s) wait in __syncthreads at " + text_of(block.where) +
               ", but thread " + std::to_string(thread.number) + " returned from the kernel");
}

/// A fiber's work: the thread whose turn it is, and then those after it that are still fresh.
void run_threads() {
  for (;;) {
    BlockThread* const thread = now;
    thread->state = State::running;
    thread->fiber = current_fiber();
    observe(&start_of_launch);
    try {
      launched->call();
    } catch (...) {
      if (!failure) failure = std::current_exception();
    }
    thread->state = State::done;
    after_return(*thread);
    publish(&end_of_launch);
    const bool more = turn + 1 < turns.size() && block.threads[turns[turn + 1]].state == State::fresh;
    if (failure || one_thread_per_fiber() || !more) return;
    now = &block.threads[turns[++turn]];
  }
}

void resume_thread(BlockThread& thread) {
  now = &thread;
  resume(thread.state == State::fresh ? take_fiber() : thread.fiber);
  now = nullptr;
}

/// Waiting threads are resumed once more, so that their stacks unwind.
[[noreturn]] void abandon_block() {
  for (BlockThread& thread : block.threads) {
    if (thread.state == State::waiting) resume_thread(thread);
  }
  std::rethrow_exception(std::exchange(failure, nullptr));
}

void wait_for_change(const std::uint32_t* number, const char* what, const Location& where) {
  BlockThread* const thread = now;
  thread->state = State::waiting;
  thread->awaited = number;
  thread->seen = *number;
  thread->what = what;
  thread->where = where;
  publish(&end_of_launch);  // if the launch fails, this thread never returns
  pause();
  thread->state = State::running;
  if (failure) throw std::runtime_error("the block was abandoned");
}

bool can_run(const BlockThread& thread) {
  return thread.state == State::fresh || (thread.state == State::waiting && *thread.awaited != thread.seen);
}

std::string deadlock() {
  std::map<std::string, std::vector<unsigned>> groups;
  for (const BlockThread& thread : block.threads) {
    const bool done = thread.state == State::done;
    groups[done ? "returned from the kernel"
                : std::string("waits in ") + thread.what + " at " + text_of(thread.where)]
        .push_back(thread.number);
  }
  std::string text = "deadlock in a block:";
  for (const auto& [what, threads] : groups)
    text += "\n  " + std::to_string(threads.size()) + " thread(s), the first is " +
            std::to_string(threads[0]) + ", " + what;
  return text;
}

void prepare_block(unsigned threads) {
  block.threads.assign(threads, {});
  block.meetings.clear();
  block.meetings.resize((threads + kWarp - 1) / kWarp);
  block.left = threads;
  block.arrived = block.returned = 0;
  block.generation = 0;
  block.votes[0] = block.votes[1] = {};
  const dim3 shape = blockDim;
  for (unsigned i = 0; i < threads; ++i) {
    BlockThread& thread = block.threads[i];
    thread.index = {i % shape.x, i / shape.x % shape.y, i / (shape.x * shape.y)};
    thread.number = i;
    thread.lane = i % kWarp;
    thread.warp = i / kWarp;
  }
}

/// Runs a warp until none of its threads can go on. Returns whether one did.
bool run_warp(unsigned warp, unsigned threads) {
  const unsigned first = warp * kWarp, count = std::min(kWarp, threads - first);
  turns.resize(count);
  for (unsigned i = 0; i < count; ++i)
    turns[i] = first + (settings().order == Order::reverse ? count - 1 - i : i);
  bool progress = false;
  for (bool again = true; again;) {
    again = false;
    if (settings().order == Order::random) random_order.shuffle(turns);
    for (turn = 0; turn < turns.size(); ++turn) {
      BlockThread& thread = block.threads[turns[turn]];
      if (!can_run(thread)) continue;
      again = progress = true;
      resume_thread(thread);
      if (failure) abandon_block();
    }
  }
  return progress;
}

void run_block(unsigned threads) {
  prepare_block(threads);
  std::vector<unsigned> warps(block.meetings.size());
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  if (settings().order == Order::reverse) std::reverse(warps.begin(), warps.end());
  while (block.left > 0) {
    if (settings().order == Order::random) random_order.shuffle(warps);
    bool progress = false;
    for (const unsigned warp : warps) progress |= run_warp(warp, threads);
    if (progress) continue;
    failure = error_of(deadlock());
    abandon_block();
  }
  counts().threads += threads;
}

/// The blocks of a grid in the order of the schedule.
std::vector<std::uint64_t> blocks_in_order(std::uint64_t count) {
  std::vector<std::uint64_t> order(count);
  for (std::uint64_t i = 0; i < count; ++i) order[i] = settings().order == Order::reverse ? count - 1 - i : i;
  if (settings().order == Order::random) random_order.shuffle(order);
  return order;
}

}  // namespace

const Thread& this_thread() {
  return *now;
}
const uint3& this_block() {
  return block_index;
}

std::string text_of(const Location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

void fail(const std::string& what) {
  if (now == nullptr) throw std::runtime_error(what);
  const uint3 at = block_index;
  throw std::runtime_error("block (" + std::to_string(at.x) + ", " + std::to_string(at.y) + ", " +
                           std::to_string(at.z) + "), thread " + std::to_string(now->number) + ": " + what);
}

void forbidden(const char* what) {
  fail(what);
}

void require_aligned(const void* data, std::size_t bytes_at_once) {
  const std::size_t after = reinterpret_cast<std::uintptr_t>(data) % bytes_at_once;
  if (after != 0)
    fail(std::to_string(bytes_at_once) + " bytes at once, " + std::to_string(after) +
         " bytes after an address that allows it");
}

void* shared_variable(SharedVariable& variable) {
  const Unwatched unwatched;
  if (variable.number < 0) variable.number = shared_variables++;
  const auto number = static_cast<std::size_t>(variable.number);
  if (block.shared.size() <= number) block.shared.resize(number + 1);
  void*& memory = block.shared[number];
  if (memory != nullptr) return memory;
  block.static_bytes += variable.bytes;
  if (block.static_bytes > kStaticSharedMemory) fail("more than 48 KiB of static shared memory");
  return memory = new_shared_memory(variable.bytes, variable.alignment);
}

void* dynamic_shared_memory() {
  const Unwatched unwatched;
  if (block.dynamic == nullptr) block.dynamic = new_shared_memory(block.dynamic_bytes, 128);
  return block.dynamic;
}

void block_barrier(const Location& where) {
  const Unwatched unwatched;
  if (block.returned > 0) fail("__syncthreads at " + text_of(where) + " after threads of the block returned");
  if (block.arrived > 0 && !same_place(block.where, where))
    fail("divergent __syncthreads at " + text_of(where) + ": others wait at " + text_of(block.where));
  block.where = where;
  const std::uint32_t generation = block.generation;
  publish(&block.votes[generation & 1U]);
  if (++block.arrived == block.left) {
    open_barrier();
  } else {
    wait_for_change(&block.generation, "__syncthreads", where);
  }
  observe(&block.votes[generation & 1U]);
}

int block_vote(int predicate, Vote vote, const Location& where) {
  Votes& votes = block.votes[block.generation & 1U];  // it stays until the barrier after the next one
  {
    const Unwatched unwatched;
    const int value = predicate != 0 ? 1 : 0;
    votes.count += value;
    votes.all &= value;
    votes.any |= value;
  }
  block_barrier(where);
  const Unwatched unwatched;
  return vote == Vote::count ? votes.count : vote == Vote::all ? votes.all : votes.any;
}

const std::uint64_t* meet(unsigned mask, std::uint64_t value, Collective kind, const Location& where) {
  const Unwatched unwatched;
  const std::string name = kNames[static_cast<std::size_t>(kind)];
  const unsigned lane = now->lane;
  if (((mask >> lane) & 1U) == 0)
    fail(name + " at " + text_of(where) + ": the calling lane is not in the mask");
  auto& of_warp = block.meetings[now->warp];
  auto found = std::find_if(of_warp.begin(), of_warp.end(), [&](const auto& m) { return m->mask == mask; });
  if (found == of_warp.end()) {
    of_warp.push_back(std::make_unique<Meeting>());
    found = of_warp.end() - 1;
    (*found)->mask = mask;
  }
  Meeting& meeting = **found;
  if (meeting.arrived != 0 && (meeting.kind != kind || !same_place(meeting.where, where))) {
    fail("divergent " + name + " at " + text_of(where) + ": lanes wait in " +
         kNames[static_cast<std::size_t>(meeting.kind)] + " at " + text_of(meeting.where));
  }
  meeting.kind = kind;
  meeting.where = where;
  std::uint64_t* const values = meeting.values[meeting.generation & 1U];
  values[lane] = value;
  publish(values);
  meeting.arrived |= 1U << lane;
  if (meeting.arrived == mask) {
    meeting.arrived = 0;
    ++meeting.generation;
  } else {
    wait_for_change(&meeting.generation, kNames[static_cast<std::size_t>(kind)], where);
  }
  observe(values);
  return values;
}

void memory_fence() {
  observe(&fences);
  publish(&fences);
}

void run(const Launch& launch, const cudaLaunchConfig_t& config) {
  launched = &launch;
  const dim3 grid = config.gridDim, shape = config.blockDim;
  gridDim = grid;
  blockDim = shape;
  random_order.restart(settings().seed);
  set_fiber_body(run_threads);
  begin_launch();
  ++counts().launches;
  publish(&start_of_launch);
  // What comes after the launch comes after its threads, also if one of them has failed.
  struct AfterThreads {
    ~AfterThreads() { observe(&end_of_launch); }
  } const after_threads;
  const Unwatched unwatched;
  for (const std::uint64_t i : blocks_in_order(std::uint64_t{grid.x} * grid.y * grid.z)) {
    block_index = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                   static_cast<unsigned>(i / (std::uint64_t{grid.x} * grid.y))};
    std::fill(block.shared.begin(), block.shared.end(), nullptr);
    block.dynamic = nullptr;
    block.dynamic_bytes = config.dynamicSmemBytes;
    block.static_bytes = 0;
    free_shared_memory();
    run_block(shape.x * shape.y * shape.z);
  }
}

}  // namespace cuda_emulation
