// Where this build's program, sources and fixtures are. These are functions, and not definitions on every
// command line. So another clone of the same sources finds its compiled tests in the cache.
#pragma once
#include <string>

namespace granule::test {

const std::string& program_path();
const std::string& source_dir();
const std::string& fixtures_dir();

}  // namespace granule::test
