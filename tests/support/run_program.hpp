// Runs the built `granule` program as a user would: arguments, environment and input in; exit code, stdout
// and stderr out. Not a shell: arguments are passed as they are.
#pragma once
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tests/support/temp_dir.hpp"

namespace granule::test {

struct ProgramOptions {
  std::map<std::string, std::string> environment{};  ///< on top of the test's own
  std::string input{};                               ///< what the program reads on stdin
  std::filesystem::path working_directory{};         ///< empty: the test's own
  std::filesystem::path program{};                   ///< empty: granule
  bool unread = false;  ///< its stdout and stderr are a pipe that nobody reads: neither is known
  std::chrono::seconds timeout{120};  ///< afterwards the program and its children are killed
};

struct ProgramResult {
  int exit_code = -1;  ///< 128 + n when signal n ended the program, as in a shell
  int signal = 0;      ///< that ended the program; 0: none
  bool timed_out = false;
  std::string out;
  std::string err;
};

/// A program that runs beside the test, to be signalled or killed while it works.
class RunningProgram {
 public:
  explicit RunningProgram(const std::vector<std::string>& arguments, ProgramOptions options = {});
  /// Kills what still runs.
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void send(int signal) const;
  [[nodiscard]] bool running();
  /// What it has written so far.
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;
  /// Blocks until stderr contains `text`, the program ends, or the timeout is over; says whether it was seen.
  [[nodiscard]] bool wait_for_err(const std::string& text);
  /// Blocks until the program ends; past the timeout it is killed and the result says so.
  [[nodiscard]] ProgramResult wait();

 private:
  void start(const std::vector<std::string>& arguments);
  void kill_group() const;

  ProgramOptions options_;
  TempDir files_;
  int unread_ = -1;  ///< the end of the pipe that nobody reads
  std::chrono::steady_clock::time_point deadline_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Runs granule with these arguments to its end.
[[nodiscard]] ProgramResult run_program(const std::vector<std::string>& arguments,
                                        ProgramOptions options = {});

}  // namespace granule::test
