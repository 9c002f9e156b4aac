#include "apps/program/usage.hpp"

#include "tests/support/catch.hpp"

using namespace granule;
using Catch::Contains;

TEST_CASE("usage: a value out of range is told in our words, whichever version of CLI11 found it") {
  CLI::App program("a program", "granule");
  for (const std::string range : {"-2 to 16384", "[-2 - 16384]"}) {
    const CLI::ValidationError error("--ranks", "Value -3 not in range " + range);
    CHECK_THROWS_WITH(refuse_usage(program, error), Contains("--ranks -3 is not between -2 and 16384"));
  }
}
