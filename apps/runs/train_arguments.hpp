// What the user typed after `granule train`, and what it means.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace granule {

struct TrainArguments {
  /// After settle(), this is empty if the config of the run itself, or of the fork, is meant.
  std::filesystem::path config;
  std::filesystem::path out;
  std::filesystem::path init_from;
  std::string fork;  ///< RUN[:STEP]
  std::vector<std::string> overrides;
  std::string resume_word;  ///< what CLI11 makes of --resume, or of --resume=RUN
  bool resume = false, dry_run = false;
  bool digests = false;  ///< record what the run starts with (apps/jobs/start_digests.hpp)
  /// How many ranks before this one are on its host, if there are more than those that train this run.
  std::optional<int> place_on_host{};
};

void add_train_options(CLI::App& command, TrainArguments& arguments);

/// Both `granule train --resume RUN` and `granule train CONFIG --out RUN --resume` are understood. The first
/// word is a RUN if --resume is given, --out is not, and the word is not a file. Throws a user error for
/// words that contradict each other.
void settle(TrainArguments& arguments);

}  // namespace granule
