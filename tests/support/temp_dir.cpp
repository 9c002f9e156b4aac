#include "tests/support/temp_dir.hpp"

#include <cstdlib>
#include <string>

#include "core/error.hpp"

namespace granule::test {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "granule-test-XXXXXX").string();
  GRANULE_CHECK(mkdtemp(pattern.data()) != nullptr, "cannot create {}", pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace granule::test
