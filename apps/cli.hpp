// The command line. Each subcommand has its own file, and one place turns errors into a line and an exit
// code.
#pragma once

namespace granule {

/// Parses the arguments and runs the subcommand. For an exception it prints "granule: error: …". Returns the
/// exit code.
int run_cli(int argc, char** argv);

}  // namespace granule
