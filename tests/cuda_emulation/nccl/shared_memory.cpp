#include "tests/cuda_emulation/nccl/shared_memory.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cuda_emulation::nccl {

std::size_t Pipe::room() const {
  return kPipeBytes - (written.load(std::memory_order_relaxed) - read.load(std::memory_order_acquire));
}

std::size_t Pipe::come() const {
  return written.load(std::memory_order_acquire) - read.load(std::memory_order_relaxed);
}

std::size_t Pipe::put(std::span<const std::byte> from) {
  const std::uint64_t end = written.load(std::memory_order_relaxed);
  const std::size_t bytes = std::min(room(), from.size()), at = end % kPipeBytes;
  const std::size_t first = std::min(bytes, kPipeBytes - at);
  std::memcpy(data.data() + at, from.data(), first);
  std::memcpy(data.data(), from.data() + first, bytes - first);
  written.store(end + bytes, std::memory_order_release);
  return bytes;
}

std::size_t Pipe::take(std::span<std::byte> to) {
  const std::uint64_t begin = read.load(std::memory_order_relaxed);
  const std::size_t bytes = std::min(come(), to.size()), at = begin % kPipeBytes;
  const std::size_t first = std::min(bytes, kPipeBytes - at);
  std::memcpy(to.data(), data.data() + at, first);
  std::memcpy(to.data() + first, data.data(), bytes - first);
  read.store(begin + bytes, std::memory_order_release);
  return bytes;
}

SharedBoard::SharedBoard() : descriptor_(memfd_create("emulated NCCL", MFD_CLOEXEC)) {
  if (descriptor_ < 0 || ftruncate(descriptor_, sizeof(Board)) != 0)
    throw std::runtime_error("emulated NCCL: no shared memory");
  map();
}

SharedBoard::SharedBoard(const MemoryName& of) {
  const std::string path = "/proc/" + std::to_string(of.process) + "/fd/" + std::to_string(of.descriptor);
  descriptor_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor_ < 0) throw std::runtime_error("emulated NCCL: the process that made the id is gone");
  map();
}

SharedBoard::~SharedBoard() {
  munmap(board_, sizeof(Board));
  close(descriptor_);
}

void SharedBoard::map() {
  void* const memory =
      mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor_, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("emulated NCCL: no addresses for shared memory");
  board_ = static_cast<Board*>(memory);
}

MemoryName SharedBoard::name() const {
  return {getpid(), descriptor_};
}

}  // namespace cuda_emulation::nccl
