// granule status: how far a run is, and whether a job is working on it.
#include <memory>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/run_status.hpp"

namespace granule {

void add_status_command(CLI::App& program) {
  const auto run = std::make_shared<std::filesystem::path>();
  CLI::App& command =
      *program.add_subcommand("status", "Show how far a run is, and whether a job works on it.");
  command.add_option("run", *run, "The run directory.")->required()->type_name("RUN");
  command.footer("Example:\n  granule status runs/tiny");
  command.callback([run] {
    const nlohmann::ordered_json status = run_status(*run);
    say("{}", status_text(status));
    print_json(status);
  });
}

}  // namespace granule
