#include "core/error.hpp"

#include "tests/support/catch.hpp"

using namespace granule;

namespace {

template <class Body>
Error caught(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return {ExitCode::success, "nothing was thrown", "", ""};
}

}  // namespace

TEST_CASE("error: an error reads: what (where): what to do") {
  const Error error = caught([] { user_error("unknown key 'lrr'", "run.toml:7", "did you mean 'lr'?"); });
  CHECK(std::string(error.what()) == "unknown key 'lrr' (run.toml:7): did you mean 'lr'?");
  CHECK(error.code() == ExitCode::user);
  CHECK(std::string(Error(ExitCode::failure, "what", "", "").what()) == "what");
  CHECK(std::string(Error(ExitCode::failure, "what", "", "do").what()) == "what: do");
}

TEST_CASE("error: errors carry the exit codes of the contract") {
  CHECK(static_cast<int>(caught([] { user_error("", "", ""); }).code()) == 2);
  CHECK(static_cast<int>(caught([] { io_error("", "", ""); }).code()) == 74);
  CHECK(static_cast<int>(ExitCode::out_of_memory) == 71);
  CHECK(static_cast<int>(ExitCode::in_use) == 73);
  CHECK(static_cast<int>(ExitCode::hang) == 75);
  CHECK(static_cast<int>(ExitCode::out_of_step) == 76);
  CHECK(static_cast<int>(ExitCode::non_finite) == 77);
}

TEST_CASE("error: a failed check names its place and evaluates its message only then") {
  int evaluated = 0;
  const auto number = [&] { return ++evaluated; };
  GRANULE_CHECK(true, "{}", number());
  CHECK(evaluated == 0);
  const Error error = caught([&] { GRANULE_CHECK(evaluated == 7, "rows: {} and {}", number(), 7); });
  CHECK_THAT(error.what(), Catch::StartsWith("rows: 1 and 7 (error_test.cpp:"));
  CHECK(error.code() == ExitCode::failure);
}

TEST_CASE("error: a failed assertion says that it is our fault") {
  const Error error = caught([] { GRANULE_ASSERT(1 + 1 == 3, "arithmetic of {}", 1); });
  CHECK_THAT(error.what(),
             Catch::StartsWith("internal error: arithmetic of 1 (1 + 1 == 3 at error_test.cpp:"));
  CHECK_THAT(error.what(), Catch::EndsWith("please report it"));
  CHECK(error.code() == ExitCode::failure);
}
