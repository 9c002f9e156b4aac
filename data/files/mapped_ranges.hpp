// Which file is mapped at an address. A page of a mapped file that can no longer be read raises SIGBUS, whose
// handler asks here. The handler itself belongs to the program.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace granule {

void note_mapping(std::span<const std::byte> bytes, std::string path);
/// Call it before the bytes are unmapped.
void forget_mapping(std::span<const std::byte> bytes) noexcept;

/// The path of the file that is mapped at `address`, or null. A signal handler may call it.
[[nodiscard]] const char* path_mapped_at(const void* address) noexcept;

}  // namespace granule
