#include "tests/support/run_program.hpp"

#include <csignal>
#include <fstream>
#include <thread>

#include "tests/support/catch.hpp"

using namespace std::chrono_literals;
using granule::test::ProgramOptions;
using granule::test::run_program;
using granule::test::RunningProgram;

namespace {

ProgramOptions shell() {
  return {.program = "/bin/sh", .timeout = 20s};
}

// If no process reaps orphans, a killed process may stay as a zombie.
bool ends_soon(int pid) {
  for (int i = 0; i < 100; ++i) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(stat, line) || line.find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("run_program: a program's exit code, output and errors are captured apart") {
  ProgramOptions options = shell();
  options.environment["GRANULE_TEST_WORD"] = "spoken";
  options.input = "from stdin";
  const auto result =
      run_program({"-c", "cat; echo \" $GRANULE_TEST_WORD\"; echo oops >&2; exit 7"}, options);
  CHECK(result.exit_code == 7);
  CHECK(result.out == "from stdin spoken\n");
  CHECK(result.err == "oops\n");
  CHECK_FALSE(result.timed_out);
}

TEST_CASE("run_program: a program runs in the directory it is given") {
  ProgramOptions options = shell();
  options.working_directory = "/";
  CHECK(run_program({"-c", "pwd"}, options).out == "/\n");
}

TEST_CASE("run_program: a program past its time is killed together with its children") {
  ProgramOptions options = shell();
  options.timeout = 1s;
  const auto result = run_program({"-c", "sleep 30 & echo $!; wait"}, options);
  CHECK(result.timed_out);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK(ends_soon(std::stoi(result.out)));
}

TEST_CASE("run_program: a running program can be watched and signalled") {
  RunningProgram program({"-c", "trap 'exit 5' TERM; echo ready >&2; while :; do sleep 0.05; done"}, shell());
  REQUIRE(program.wait_for_err("ready"));
  program.send(SIGTERM);
  CHECK(program.wait().exit_code == 5);
}

TEST_CASE("run_program: the granule program itself answers") {
  CHECK(run_program({"--version"}).exit_code == 0);
  const auto result = run_program({"no-such-command"});
  CHECK(result.exit_code == 2);
  CHECK(result.err.rfind("granule: error: ", 0) == 0);
  CHECK(result.out.empty());
}
