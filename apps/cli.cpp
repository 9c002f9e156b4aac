#include "apps/cli.hpp"

#include <algorithm>
#include <filesystem>
#include <new>
#include <span>
#include <sstream>
#include <system_error>

#include "apps/commands/commands.hpp"
#include "apps/config/key_advice.hpp"
#include "apps/program/console.hpp"
#include "apps/program/lost_file.hpp"
#include "apps/program/same_program.hpp"
#include "apps/program/usage.hpp"
#include "apps/program/version.hpp"
#include "apps/training/stop_signals.hpp"
#include "core/error.hpp"
#include "data/files/paths.hpp"
#include "distributed/mpi/launcher.hpp"

namespace granule {
namespace {

int report(std::string_view message, ExitCode code) {
  say_error(message);
  return static_cast<int>(code);
}

void add_commands(CLI::App& program) {
  program.name("granule");
  // After one command, a word that is the name of a command is an argument. Commands inherit the limit.
  program.require_subcommand(0, 1);
  program.set_version_flag(
      "--version", [] { return version_text(); }, "Print the version, the commit and the machine.");
  add_tokenizer_command(program);
  add_data_command(program);
  add_train_command(program);
  add_sweep_command(program);
  add_eval_command(program);
  add_generate_command(program);
  add_score_command(program);
  add_export_command(program);
  add_inspect_command(program);
  add_status_command(program);
  add_report_command(program);
  add_verify_command(program);
  add_plan_command(program);
  add_bench_command(program);
  refuse_large_integers(program);
  // The footer is set last, because a command that is added later would inherit it.
  program.footer("Each command has its own --help, with an example. docs/commands.md lists the exit codes.");
}

/// CLI11 would call an unknown command an unexpected argument, so the first word is checked before.
void check_command_name(const CLI::App& program, const std::string& word) {
  if (word.empty() || word.front() == '-') return;
  std::vector<std::string_view> names;
  for (const CLI::App* const command : program.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return;
    names.push_back(command->get_name());
  }
  const std::string_view near = near_word(word, names, word.size());
  throw UsageError(
      fmt::format("there is no command '{}'", word),
      near.empty() ? "see granule --help" : fmt::format("did you mean '{}'? See granule --help", near));
}

/// Every rank finds the same mistake on its command line. The environment says which rank is the first, so
/// MPI is not needed.
bool speaks() {
  return launched_rank() == 0;
}

/// If several ranks each did all of the work, they would print and write everything several times.
void check_ranks(std::span<char*> words) {
  const std::string_view command = words[1], subcommand = words.size() > 2 ? words[2] : "";
  const bool of_several = command == "train" || command == "sweep" || command == "verify" ||
                          (command == "bench" && subcommand == "step");
  const bool asks =
      std::ranges::any_of(words, [](std::string_view word) { return word == "--help" || word == "-h"; });
  if (of_several || asks || command.starts_with("-") || !under_mpi_launcher()) return;
  const std::string what = fmt::format("granule {} works on one rank", command);
  if (refuses_several(*make_communicator(), what, "start it without mpirun")) throw SilentEnd{ExitCode::user};
}

/// Paths that are empty would be the working directory, or nothing.
void refuse_empty_out(std::span<char*> words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    const bool empty_next = i + 1 < words.size() && std::string_view(words[i + 1]).empty();
    if (word == "--out=" || (word == "--out" && empty_next))
      throw UsageError("--out is empty", "give it a path; a shell variable may be unset");
  }
}

/// `granule help data build` is `granule data build --help`.
std::vector<char*> help_as_option(std::span<char*> words) {
  static char help[] = "--help";
  std::vector<char*> all(words.begin(), words.end());
  if (all.size() > 1 && std::string_view(all[1]) == "help") {
    all.erase(all.begin() + 1);
    all.push_back(help);
  }
  return all;
}

int parse_and_run(std::vector<char*> words) {
  const int argc = static_cast<int>(words.size());
  char** const argv = words.data();
  CLI::App program{"Granule trains Mixture-of-Experts language models."};
  add_commands(program);
  if (argc < 2) {
    if (speaks()) print_err(program.help());
    throw UsageError("no command was given", "see granule --help");
  }
  check_command_name(program, argv[1]);
  refuse_empty_out(words);
  check_ranks(words);
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& request) {  // --help, --version
    std::ostringstream text, nothing;
    program.exit(request, text, nothing);
    if (speaks()) print_out(text.str());
  } catch (const CLI::ParseError& error) {
    refuse_usage(program, error);
  }
  return static_cast<int>(ExitCode::success);
}

int run_and_report(int argc, char** argv) {
  try {
    limit_instruction_set();
    return parse_and_run(help_as_option({argv, static_cast<std::size_t>(argc)}));
  } catch (const ReaderGone&) {
    return static_cast<int>(ExitCode::success);
  } catch (const StoppedBySignal& stopped) {
    return end_by(stopped);
  } catch (const SilentEnd& end) {
    return static_cast<int>(end.code);
  } catch (const UsageError& error) {
    // A launcher ends the other ranks when one fails, so a silent rank must not be the first to fail.
    return speaks() ? report(error.what(), error.code()) : static_cast<int>(ExitCode::success);
  } catch (const Error& error) {
    return report(error.what(), error.code());
  } catch (const std::filesystem::filesystem_error& failure) {
    const Error error = error_of(failure);
    return report(error.what(), error.code());
  } catch (const std::system_error& failure) {  // a thread that cannot be started
    return report(fmt::format("the system refuses a resource: {} (threads): raise the limits of this process "
                              "(ulimit -u, ulimit -v), or lower train.threads",
                              failure.code().message()),
                  ExitCode::out_of_memory);
  } catch (const std::bad_alloc&) {
    return report("out of memory (allocation): use a smaller batch or model", ExitCode::out_of_memory);
  } catch (const std::exception& error) {
    return report(error.what(), ExitCode::failure);
  }
}

}  // namespace

int run_cli(int argc, char** argv) {
  prepare_streams();
  name_lost_files();
  const int code = run_and_report(argc, argv);
  finish_saying();
  return code;
}

}  // namespace granule
