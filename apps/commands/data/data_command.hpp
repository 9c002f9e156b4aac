// The commands under `granule data`. Each has its own file.
#pragma once
#include <CLI/CLI.hpp>

namespace granule {

void add_data_build_command(CLI::App& data);
void add_data_inspect_command(CLI::App& data);
void add_data_where_command(CLI::App& data);
void add_data_import_command(CLI::App& data);

}  // namespace granule
