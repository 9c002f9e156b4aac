#include "apps/commands/data/data_command.hpp"

#include "apps/commands/commands.hpp"
#include "apps/program/usage.hpp"

namespace granule {

void add_data_command(CLI::App& program) {
  CLI::App& data = *program.add_subcommand("data", "Build data sets of token shards, and look into them.");
  add_data_build_command(data);
  add_data_inspect_command(data);
  add_data_where_command(data);
  add_data_import_command(data);
  require_one_of_its_commands(data);
  data.footer(
      "Example: granule data build --tokenizer tok.model --input texts/ --out dataset/ --val-fraction 0.05");
}

}  // namespace granule
