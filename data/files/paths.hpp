// Paths as users give them, which may be too long, or lead nowhere.
#pragma once
#include <cstddef>
#include <filesystem>

#include "core/error.hpp"

namespace granule {

/// Throws a user error when the system could not open `path`, or what is written there: its name with up to
/// `added` bytes more, and below it names of up to `inside` bytes. To be asked before the work.
struct RoomInPath {
  std::size_t added = 0;
  std::size_t inside = 0;
};
void require_path_fits(const std::filesystem::path& path, RoomInPath room);

/// What went wrong with a path, in the form of every error: a disk's fault leads to exit code 74, a wrong
/// path to 2.
[[nodiscard]] Error error_of(const std::filesystem::filesystem_error& failure);

}  // namespace granule
