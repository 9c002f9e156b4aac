#include "data/files/mapped_ranges.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace granule {
namespace {

/// Nodes are reused and never freed, so a signal handler can walk over them at any time.
struct MappedRange {
  std::atomic<std::uintptr_t> begin{0}, end{0};  // the end is 0 if the node is free
  std::string path;                              // unchanged while the range is mapped
  MappedRange* next = nullptr;
};

std::atomic<MappedRange*> g_first{nullptr};
std::mutex g_noting;

std::uintptr_t number_of(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}

/// Called under the lock.
MappedRange* free_node() {
  for (MappedRange* node = g_first.load(); node != nullptr; node = node->next) {
    if (node->end.load() == 0) return node;
  }
  auto* const node = new MappedRange;
  node->next = g_first.load();
  g_first.store(node);
  return node;
}

}  // namespace

void note_mapping(std::span<const std::byte> bytes, std::string path) {
  const std::lock_guard lock(g_noting);
  MappedRange* const node = free_node();
  node->path = std::move(path);
  node->begin.store(number_of(bytes.data()));
  node->end.store(number_of(bytes.data()) + bytes.size());
}

void forget_mapping(std::span<const std::byte> bytes) noexcept {
  const std::lock_guard lock(g_noting);
  for (MappedRange* node = g_first.load(); node != nullptr; node = node->next) {
    if (node->end.load() != 0 && node->begin.load() == number_of(bytes.data())) return node->end.store(0);
  }
}

const char* path_mapped_at(const void* address) noexcept {
  const std::uintptr_t at = number_of(address);
  for (const MappedRange* node = g_first.load(); node != nullptr; node = node->next) {
    if (at >= node->begin.load() && at < node->end.load()) return node->path.c_str();
  }
  return nullptr;
}

}  // namespace granule
