#include "data/files/paths.hpp"

#include <cerrno>
#include <climits>

namespace granule {
namespace {

namespace fs = std::filesystem;

bool is_fault_of_disk(std::error_code code) {
  for (const std::errc fault : {std::errc::no_space_on_device, std::errc::io_error, std::errc::file_too_large,
                                std::errc::read_only_file_system}) {
    if (code == fault) return true;
  }
  return code == std::error_code(EDQUOT, std::generic_category());
}

std::string_view advice_for(std::error_code code) {
  if (code == std::errc::filename_too_long) return "use a shorter path";
  if (code == std::errc::permission_denied) return "check its permissions";
  if (code == std::errc::too_many_symbolic_link_levels) return "a link leads back to itself: remove it";
  if (is_fault_of_disk(code)) return "check the disk and its free space";
  return "check the path";
}

}  // namespace

void require_path_fits(const fs::path& path, RoomInPath room) {
  const std::size_t length = path.string().size(), more = room.added + room.inside;
  if (length + more >= PATH_MAX) {
    user_error(
        fmt::format("File name too long: the path has {} bytes, and up to {} more follow", length, more),
        path.string(), fmt::format("paths have less than {} bytes: use a shorter one", PATH_MAX));
  }
  for (const fs::path& part : path) {
    const std::size_t most = NAME_MAX - (part == path.filename() ? room.added : 0);
    if (part.string().size() <= most) continue;
    user_error(fmt::format("File name too long: {} bytes", part.string().size()), path.string(),
               fmt::format("use a name of at most {} bytes", most));
  }
}

Error error_of(const fs::filesystem_error& failure) {
  const std::error_code code = failure.code();
  const std::string place = failure.path1().string();
  return {is_fault_of_disk(code) ? ExitCode::io : ExitCode::user,
          fmt::format("a path cannot be used: {}", code.message()), place, advice_for(code)};
}

}  // namespace granule
