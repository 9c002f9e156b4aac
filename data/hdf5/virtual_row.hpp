// A virtual dataset of one row, read from its sources. If a source is missing or too short, HDF5 would give
// zeros without an error. So the sources are found and read here. Only data/hdf5 uses it.
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
  /// Finds and opens every source. It checks that the sources are stored and that the whole row is mapped.
  /// `depth` is that of the reader that found the dataset. Throws a user error. Call it within a Session.
  VirtualRow(const Dataset& dataset, int depth);

  void read(std::int64_t begin, std::span<std::int64_t> out) const;

 private:
  struct Part {
    std::int64_t begin, size, source_begin;
    std::shared_ptr<const Hdf5Reader> source;
    std::string dataset;
  };
  void require_whole(const Dataset& dataset) const;

  std::vector<Part> parts_;  // in the order of the row, without gaps
};

}  // namespace granule::hdf5
