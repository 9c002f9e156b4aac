#include "apps/cli.hpp"

#include <cstdio>
#include <new>

#include "apps/commands.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

int report(const char* message, ExitCode code) {
  fmt::print(stderr, "granule: error: {}\n", message);
  return static_cast<int>(code);
}

int parse_and_run(int argc, char** argv) {
  CLI::App program{"Granule trains Mixture-of-Experts language models."};
  program.name("granule");
  program.require_subcommand(1);
  program.set_version_flag("--version", "granule 0.1.0");
  add_tokenizer_command(program);
  add_data_command(program);
  add_train_command(program);
  add_bench_command(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    return program.exit(request);
  } catch (const CLI::ParseError& error) {
    user_error(error.what(), "command line", "see granule --help");
  }
  return static_cast<int>(ExitCode::success);
}

}  // namespace

int run_cli(int argc, char** argv) {
  try {
    return parse_and_run(argc, argv);
  } catch (const Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of memory (allocation): use a smaller batch or model", ExitCode::out_of_memory);
  } catch (const std::exception& error) {
    return report(error.what(), ExitCode::failure);
  }
}

}  // namespace granule
