// Where HDF5 has put the elements of a dataset, and whether all of them are there. Only data/hdf5 uses this
// file, and all functions are called within a Session.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/hdf5/handle.hpp"

namespace granule::hdf5 {

/// A dataset that was found by its name, and the properties with which it was created.
class Dataset {
 public:
  /// `path` is the path of `file`, and errors name it. Throws a user error if the name leads to no dataset.
  Dataset(hid_t file, const std::string& name, const std::filesystem::path& path);

  [[nodiscard]] hid_t get() const { return dataset_.get(); }
  [[nodiscard]] hid_t creation() const { return creation_.get(); }
  [[nodiscard]] std::string label() const { return name_.starts_with('/') ? name_ : "/" + name_; }
  [[nodiscard]] std::string where() const { return path_.string(); }
  [[nodiscard]] H5D_layout_t layout() const { return H5Pget_layout(creation()); }
  /// The file that has the dataset. It is not `file` if an external link led elsewhere.
  [[nodiscard]] std::filesystem::path owner() const;
  [[nodiscard]] bool in_this_file() const { return in_this_file_; }
  /// Extents along all dimensions.
  [[nodiscard]] std::vector<hsize_t> extents() const;
  [[nodiscard]] std::int64_t numel() const;
  [[nodiscard]] std::int64_t element_size() const;

 private:
  std::string name_;
  std::filesystem::path path_;
  Handle dataset_, creation_;
  bool in_this_file_ = false;
};

/// Byte offset of a contiguous dataset whose data are in the file itself. Absent for any other.
[[nodiscard]] std::optional<std::int64_t> contiguous_offset(const Dataset& dataset);

/// optional: filters that chunks may have been stored without, which only reading tells.
enum class Filters : std::uint8_t { required, optional };
/// Throws a user error that names a filter of the dataset if this machine does not have it.
void require_filters(const Dataset& dataset, Filters which);

/// Throws a user error if elements are not stored. It does not look at the sources of a virtual dataset.
void require_elements(const Dataset& dataset);

}  // namespace granule::hdf5
