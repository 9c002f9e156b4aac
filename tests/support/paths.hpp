// Where this build's program, sources and test data are. These are functions, and not definitions on every
// command line. So another clone of the same sources finds its compiled tests in the cache.
#pragma once
#include <string>

namespace granule::test {

const std::string& program_path();
const std::string& source_dir();
const std::string& test_data_dir();

}  // namespace granule::test
