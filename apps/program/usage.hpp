// Errors of the command line, in the program's own words.
#pragma once
#include <string>

#include <CLI/CLI.hpp>

#include "core/error.hpp"

namespace granule {

/// For a command that only has subcommands. Without one it is an error that names them.
void require_one_of_its_commands(CLI::App& parent);

/// Makes integers that 64 bits cannot hold an error for all options. CLI11 2.1 would take the nearest
/// instead.
void refuse_large_integers(CLI::App& program);

/// An error on the command line. Every rank of a job finds the same one.
class UsageError : public Error {
 public:
  UsageError(std::string_view what, std::string_view advice)
      : Error(ExitCode::user, what, "command line", advice) {}
};

/// Throws the error for what CLI11 found wrong while parsing.
[[noreturn]] void refuse_usage(const CLI::App& program, const CLI::ParseError& error);

}  // namespace granule
