#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the run
// ctest runs this before the tests that read the small run.
#include "tests/support/small_run.hpp"

#include <cstdlib>

#include "tests/support/catch.hpp"

using namespace granule::test;

TEST_CASE("small_run: the small run is made", "[.small-run]") {
  const char* directory = std::getenv("GRANULE_SMALL_RUN");
  REQUIRE(directory != nullptr);
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  SmallRun(directory).make();
}
#endif
