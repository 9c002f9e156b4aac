#include "tests/support/paths.hpp"

namespace granule::test {

const std::string& program_path() {
  static const std::string path = GRANULE_PROGRAM;
  return path;
}
const std::string& source_dir() {
  static const std::string path = GRANULE_SOURCE_DIR;
  return path;
}
const std::string& fixtures_dir() {
  static const std::string path = GRANULE_FIXTURES;
  return path;
}

}  // namespace granule::test
