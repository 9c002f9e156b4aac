// The command line: one subcommand a file, one place where errors become a line and an exit code.
#pragma once

namespace granule {

/// Parses the arguments, runs the subcommand, prints "granule: error: …" for what it throws; returns the exit
/// code.
int run_cli(int argc, char** argv);

}  // namespace granule
