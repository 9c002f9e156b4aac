// What a fuzz target defines.
#pragma once
#include <cstddef>
#include <span>

namespace granule::fuzz {

/// Reads the bytes as one kind of file. It may throw a user error. Anything else that ends it is a mistake in
/// the reader.
void read(std::span<const std::byte> bytes);

}  // namespace granule::fuzz
