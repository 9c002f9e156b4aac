// Paths as users give them. They may be too long, or lead nowhere.
#pragma once
#include <cstddef>
#include <filesystem>

#include "core/error.hpp"

namespace granule {

/// Throws a user error if the system could not open `path`, or what will be written there. That is the name
/// with up to `added` more bytes, and below it names of up to `inside` bytes. Call it before the work.
struct RoomInPath {
  std::size_t added = 0;
  std::size_t inside = 0;
};
void require_path_fits(const std::filesystem::path& path, RoomInPath room);

/// What went wrong with a path, as an Error. A failure of the disk has exit code 74, and a wrong path has 2.
[[nodiscard]] Error error_of(const std::filesystem::filesystem_error& failure);

}  // namespace granule
