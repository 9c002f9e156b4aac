// Identifiers that close themselves, the lock of the library, and errors from HDF5's stack. Only data/hdf5
// uses this file.
#pragma once
#include <mutex>
#include <string>
#include <utility>

#include <hdf5.h>

namespace granule::hdf5 {

/// It is held during every HDF5 call, because the library has global state and is not always built
/// thread-safe. It also keeps HDF5 from printing its error stack, which is a setting of the calling thread.
class Session {
 public:
  Session();

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

/// An HDF5 identifier and the function that closes it. Closing what was only read cannot lose anything, so
/// the destructor ignores the result. Writers call close() and check it.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close closer) : id_(id), close_(closer) {}
  ~Handle();
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  [[nodiscard]] hid_t get() const { return id_; }
  [[nodiscard]] bool valid() const { return id_ >= 0; }
  [[nodiscard]] herr_t close();

 private:
  hid_t id_;
  Close close_;
};

/// The innermost description on HDF5's error stack, in one line and without the library's internals. Examples
/// are "truncated file" and "file write failed: No space left on device".
[[nodiscard]] std::string last_error();

}  // namespace granule::hdf5
