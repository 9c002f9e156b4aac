#include "data/hdf5/handle.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace granule::hdf5 {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t keep_innermost(unsigned depth, const H5E_error2_t* entry, void* out) {
  if (depth == 0 && entry->desc != nullptr) *static_cast<std::string*>(out) = entry->desc;
  return 0;
}

/// A text such as "file write failed: time = …, errno = 28, error message = 'No space left on device', buf =
/// …" has several lines. This keeps what a user can use.
std::string without_internals(std::string text) {
  constexpr std::string_view kBefore = "error message = '";
  const auto begin = text.find(kBefore);
  const auto end = begin == std::string::npos ? begin : text.find('\'', begin + kBefore.size());
  if (end != std::string::npos) {
    const std::string message = text.substr(begin + kBefore.size(), end - begin - kBefore.size());
    return text.substr(0, text.find_first_of(":,")) + ": " + message;
  }
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace

Session::Session() : lock_(library_mutex()) {
  // After a failed close, HDF5's own exit handler would use what is left of the file and crash.
  [[maybe_unused]] static const herr_t once = H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Handle::~Handle() {
  if (valid()) close_(id_);
}

herr_t Handle::close() {
  return valid() ? close_(std::exchange(id_, -1)) : 0;
}

std::string last_error() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  return text.empty() ? "no reason given" : without_internals(text);
}

}  // namespace granule::hdf5
