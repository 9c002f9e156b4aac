#include "apps/commands/data/data_command.hpp"

#include <string>

#include "apps/commands/commands.hpp"
#include "core/error.hpp"

namespace granule {

void require_one_of_its_commands(CLI::App& parent) {
  parent.callback([&parent] {
    if (!parent.get_subcommands().empty()) return;
    std::string names;
    for (const CLI::App* const command : parent.get_subcommands([](const CLI::App*) { return true; })) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", command->get_name());
    }
    user_error(fmt::format("granule {} needs a command: {}", parent.get_name(), names), "command line",
               fmt::format("see granule {} --help", parent.get_name()));
  });
}

void add_data_command(CLI::App& program) {
  CLI::App& data = *program.add_subcommand("data", "Build and look at data sets of token shards");
  add_data_build_command(data);
  add_data_inspect_command(data);
  add_data_where_command(data);
  add_data_import_command(data);
  require_one_of_its_commands(data);
  data.footer(
      "Example: granule data build --tokenizer tok.model --input texts/ --out dataset/ --val-fraction 0.05");
}

}  // namespace granule
