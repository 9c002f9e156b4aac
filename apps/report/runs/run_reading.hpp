// Everything that a report shows of a run, read from its directory and thinned.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/report/runs/expert_load.hpp"
#include "apps/report/runs/metrics_columns.hpp"
#include "apps/report/runs/run_facts.hpp"
#include "apps/report/runs/run_finder.hpp"

namespace granule {

/// How much of a run is kept. A report of many runs has fewer rows of each.
struct ReadingBudget {
  std::size_t rows = 0;
  LoadBudget load;
  friend bool operator==(const ReadingBudget&, const ReadingBudget&) = default;
};
[[nodiscard]] ReadingBudget budget_for(std::size_t runs);

struct RunReading {
  FoundRun found;
  RunFacts facts;
  Metrics metrics;  ///< its series are thinned, its validation is whole
  /// The values of the last row and of the last evaluation, in full precision. NaN if not known.
  std::vector<double> last, last_validation;
  ExpertLoad load;
  nlohmann::json by_expert{};  ///< what `granule eval --by-expert` wrote, or null

  [[nodiscard]] bool has_rows() const { return !last.empty(); }
  [[nodiscard]] bool has_evaluation() const { return !last_validation.empty(); }
  /// Of a name of kSeries or kValidation.
  [[nodiscard]] double last_of(std::string_view name) const;
};

/// It never throws for what is in the directory. What cannot be read is absent and named in facts.notes.
[[nodiscard]] RunReading read_run(const FoundRun& run, const ReadingBudget& budget);

/// The readings of all runs, on all cores. It remembers them, and reads a run again only if a file of it has
/// changed.
class RunReadings {
 public:
  /// Returns whether anything has changed since the last call.
  bool update(const FoundRuns& found);
  [[nodiscard]] const std::vector<RunReading>& runs() const { return runs_; }

 private:
  std::vector<RunReading> runs_;
  std::vector<std::string> signs_;  ///< sizes and times of the files of each run
  ReadingBudget budget_;
};

}  // namespace granule
