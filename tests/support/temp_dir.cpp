#include "tests/support/temp_dir.hpp"

#include <cstdlib>
#include <string>

#include "core/error.hpp"

namespace granule::test {

TempDir::TempDir(Where where) {
  const std::filesystem::path memory = "/dev/shm";
  const bool in_memory = where == Where::memory && std::filesystem::is_directory(memory);
  const auto parent = in_memory ? memory : std::filesystem::temp_directory_path();
  std::string pattern = (parent / "granule-test-XXXXXX").string();
  GRANULE_CHECK(mkdtemp(pattern.data()) != nullptr, "cannot create {}", pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace granule::test
