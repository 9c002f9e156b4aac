// The commands under `granule data`, each in a file of its own.
#pragma once
#include <CLI/CLI.hpp>

namespace granule {

void add_data_build_command(CLI::App& data);
void add_data_inspect_command(CLI::App& data);
void add_data_where_command(CLI::App& data);
void add_data_import_command(CLI::App& data);
/// A command that only holds others: called without one it is an error that names them.
void require_one_of_its_commands(CLI::App& parent);

}  // namespace granule
