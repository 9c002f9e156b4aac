// Runs the built `granule` program as a user would. It passes arguments, environment and input, and returns
// exit code, stdout and stderr. There is no shell, so arguments are passed unchanged.
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
  std::map<std::string, std::string> environment{};  ///< added to the test's own
  std::string input{};                               ///< what the program reads on stdin
  std::filesystem::path working_directory{};         ///< the test's own if empty
  std::filesystem::path program{};                   ///< granule if empty
  /// Its stdout and stderr are a pipe that nobody reads, so the test does not get them.
  bool unread = false;
  std::chrono::seconds timeout{120};  ///< after this time the program and its children are killed
};

struct ProgramResult {
  int exit_code = -1;  ///< 128 + n when signal n ended the program, as in a shell
  int signal = 0;      ///< the signal that ended the program; 0 if none
  bool timed_out = false;
  std::string out;
  std::string err;
};

/// A program that runs at the same time as the test, which can send it signals or kill it.
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
  /// What the program has written so far.
  [[nodiscard]] std::string out() const;
  [[nodiscard]] std::string err() const;
  /// Blocks until stderr contains `text`, the program ends, or the timeout is over. Returns whether the text
  /// was seen.
  [[nodiscard]] bool wait_for_err(const std::string& text);
  /// Blocks until the program ends. After the timeout it is killed, and the result says so.
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

/// Runs granule with these arguments until it ends.
[[nodiscard]] ProgramResult run_program(const std::vector<std::string>& arguments,
                                        ProgramOptions options = {});

}  // namespace granule::test
