// What was typed after `granule train`, and what it means.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace granule {

struct TrainArguments {
  std::filesystem::path
      config;  ///< after settle(): empty where the run's own config, or the fork's, is meant
  std::filesystem::path out;
  std::filesystem::path init_from;
  std::string fork;  ///< RUN[:STEP]
  std::vector<std::string> overrides;
  std::string resume_word;  ///< what CLI11 makes of --resume, or of --resume=RUN
  bool resume = false, dry_run = false;
};

void add_train_options(CLI::App& command, TrainArguments& arguments);

/// `granule train --resume RUN` and `granule train CONFIG --out RUN --resume` are both understood: the first
/// word is a RUN where --resume stands beside it, no --out does, and it is no file. Throws a user error for
/// words that contradict each other.
void settle(TrainArguments& arguments);

}  // namespace granule
