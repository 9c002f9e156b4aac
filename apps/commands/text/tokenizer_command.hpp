// The subcommands of `granule tokenizer`.
#pragma once
#include <CLI/CLI.hpp>

namespace granule {

void add_tokenizer_ids_commands(CLI::App& tokenizer);  // encode | decode

}  // namespace granule
