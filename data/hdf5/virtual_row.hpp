// A virtual dataset of one row, read from the files that it is made of. HDF5 would give zeros, without an
// error, where a source is missing or too short, so its parts are looked up and read here. Private to
// data/hdf5.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5/dataset_storage.hpp"
#include "data/hdf5/hdf5_reader.hpp"

namespace granule::hdf5 {

class VirtualRow {
 public:
  /// Finds every source, opens it and checks that it is stored, and that the whole row is mapped. `depth` is
  /// that of the reader which found the dataset. Throws a user error. Called within a Session.
  VirtualRow(const Dataset& dataset, int depth);

  void read(std::int64_t begin, std::span<std::int64_t> out) const;

 private:
  struct Part {
    std::int64_t begin, size, source_begin;
    std::shared_ptr<const Hdf5Reader> source;
    std::string dataset;
  };
  void require_whole(const Dataset& dataset) const;

  std::vector<Part> parts_;  // in the row's order, without gaps
};

}  // namespace granule::hdf5
