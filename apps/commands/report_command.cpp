// granule report: one page, or tables, about one run or many.
#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/program/console.hpp"
#include "apps/program/usage.hpp"
#include "apps/report/report_files.hpp"
#include "apps/report/statistics/sentences.hpp"
#include "apps/report/tables.hpp"
#include "apps/runs/provenance.hpp"
#include "apps/training/stop_signals.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct ReportArguments {
  std::vector<fs::path> runs;
  fs::path out;
  std::string format = "html";
  bool watch = false;
  int every = 10;
};

ReportFormat format_of(const ReportArguments& arguments) {
  if (arguments.format == "html") return ReportFormat::html;
  if (arguments.format == "csv") return ReportFormat::csv;
  if (arguments.format == "json") return ReportFormat::json;
  throw UsageError(fmt::format("there is no format '{}'", arguments.format), "give html, csv or json");
}

void check(const ReportArguments& arguments) {
  if (arguments.out.empty()) {
    if (arguments.watch) throw UsageError("--watch needs --out", "name the file that is written again");
    if (format_of(arguments) == ReportFormat::html)
      throw UsageError("--out is missing", "name the page, for example --out report.html");
    return;
  }
  require_place_for_report(arguments.out, format_of(arguments));
}

/// A few lines for people: what the runs say, and what could not be read.
void say_results(const ReportData& data) {
  constexpr std::size_t kMost = 30;
  const auto& variants = data.grouping.variants;
  for (std::size_t i = 0; i < variants.size() && i < kMost; ++i) {
    say("{}: {}", variants[i].label,
        mean_sentence(data.comparison.means[i], data.comparison.metric.unit, data.comparison.left_out[i]));
  }
  if (variants.size() > kMost) say("… and {} more variants", variants.size() - kMost);
  for (const RunReading& run : data.runs) {
    for (const std::string& note : run.facts.notes) say("granule: warning: {}: {}", run.found.name, note);
  }
}

void print_result(const ReportData& data, const ReportArguments& arguments, std::int64_t bytes) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const fs::path& file : report_files(arguments.out, format_of(arguments)))
    files.push_back(as_utf8(file.string()));
  print_json(nlohmann::ordered_json{{"out", as_utf8(arguments.out.string())},
                                    {"files", files},
                                    {"bytes", bytes},
                                    {"runs", data.runs.size()},
                                    {"variants", data.grouping.variants.size()},
                                    {"metric", data.comparison.metric.key}});
}

void report_once(const ReportArguments& arguments) {
  RunReadings readings;
  const FoundRuns found = find_runs(arguments.runs);
  readings.update(found);
  const ReportData data = report_data(found, readings.runs());
  say_results(data);
  if (!arguments.out.empty()) {
    const std::int64_t bytes = write_report(data, arguments.out, format_of(arguments), std::nullopt);
    print_result(data, arguments, bytes);
  } else if (format_of(arguments) == ReportFormat::json) {
    print_json(report_document(data, std::nullopt));
  } else {
    print_out(runs_table(data));
  }
}

/// Whether nothing is going to write into a run: it is complete, or it has failed.
bool has_ended(const RunReading& run) {
  return run.facts.state == "complete" || run.facts.state == "failed";
}

std::string progress_of(const ReportData& data) {
  const auto complete = std::ranges::count_if(data.runs, has_ended);
  return fmt::format("{}: {} of {} runs have ended", utc_now(), complete, data.runs.size());
}

/// Returns whether a signal came before the time was over.
bool wait(const StopSignals& signals, Clock::time_point until) {
  constexpr std::chrono::milliseconds kLook{50};
  while (signals.stop() == 0 && Clock::now() < until) std::this_thread::sleep_for(kLook);
  return signals.stop() != 0;
}

void watch(const ReportArguments& arguments) {
  StopSignals signals;
  signals.enter(StopSignals::Activity::watching, 0);
  RunReadings readings;
  for (bool first = true;; first = false) {
    const auto next = Clock::now() + std::chrono::seconds(arguments.every);
    const FoundRuns found = find_runs(arguments.runs);
    const bool changed = readings.update(found);
    const bool ended = std::ranges::all_of(readings.runs(), has_ended);
    if (first || changed) {
      const ReportData data = report_data(found, readings.runs());
      const std::int64_t bytes = write_report(data, arguments.out, format_of(arguments),
                                              ended ? std::nullopt : std::optional(arguments.every));
      say("{}", progress_of(data));
      if (ended) {
        say_results(data);
        say("all runs have ended, so nothing is left to watch");
        return print_result(data, arguments, bytes);
      }
    }
    if (wait(signals, next)) throw StoppedBySignal{signals.stop()};
  }
}

constexpr const char* kExample =
    "An older report at --out is replaced, and no other file is.\n"
    "Example:\n"
    "  granule report runs/alpha --out alpha.html\n"
    "  granule report runs/a runs/b --format json | jq .variants";

}  // namespace

void add_report_command(CLI::App& program) {
  const auto arguments = std::make_shared<ReportArguments>();
  CLI::App& command = *program.add_subcommand("report", "Show one run or many on one page, or as tables.");
  command.add_option("runs", arguments->runs, "Run directories, sweeps, or directories that hold them.")
      ->required()
      ->type_name("RUN");
  command.add_option("--out", arguments->out, "The file to write. Without it, csv and json go to stdout.")
      ->type_name("FILE");
  command.add_option("--format", arguments->format, "html (one page), csv (tables) or json.")
      ->type_name("FORMAT")
      ->capture_default_str();
  command.add_flag("--watch", arguments->watch,
                   "Write the report again whenever a run has new rows, until all runs have ended.");
  command.add_option("--every", arguments->every, "With --watch, the least seconds between two reports.")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  command.footer(kExample);
  command.callback([arguments] {
    check(*arguments);
    arguments->watch ? watch(*arguments) : report_once(*arguments);
  });
}

}  // namespace granule
