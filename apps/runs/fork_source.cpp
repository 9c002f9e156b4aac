#include "apps/runs/fork_source.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/models/model_files.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "data/models/hf_directory.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct Named {
  fs::path path;
  std::optional<std::int64_t> step{};
};

/// A directory may have a colon in its name. So the whole text is the path if such a directory exists.
Named named_by(const std::string& text) {
  std::error_code failure;
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || fs::is_directory(text, failure)) return {text};
  std::int64_t step = 0;
  const char* const end = text.data() + text.size();
  const auto number = std::from_chars(text.data() + colon + 1, end, step);
  if (number.ec != std::errc() || number.ptr != end || step < 0) {
    user_error(fmt::format("'{}' is no step", text.substr(colon + 1)), text,
               "write RUN or RUN:STEP, such as runs/tiny:200");
  }
  return {text.substr(0, colon), step};
}

std::string steps_there(const fs::path& run) {
  auto listed = list_checkpoints(run);
  std::reverse(listed.begin(), listed.end());
  std::string steps;
  for (const StepDirectory& checkpoint : listed)
    steps += fmt::format("{}{}", steps.empty() ? "" : ", ", checkpoint.step);
  return steps;
}

fs::path newest_of(const fs::path& run) {
  const FoundCheckpoint found = find_newest_valid(run);
  warn_of_damage(found.passed_over);
  if (found.checkpoint) return found.checkpoint->path();
  if (!found.passed_over.empty())
    user_error("every checkpoint of the run is damaged", run.string(), "repair one, or fork another run");
  user_error("the run has no checkpoint to fork from", run.string(), "train it until its first checkpoint");
}

}  // namespace

fs::path find_fork_source(const std::string& text) {
  const auto [path, step] = named_by(text);
  std::error_code failure;
  if (!step && is_checkpoint(path)) return path;
  require_no_lost_save(path, "mount or put back its checkpoints/");
  if (!fs::is_directory(checkpoints_of(path), failure)) {
    const bool weights = HfDirectory::is_one(path);
    user_error(
        weights ? "a Hugging Face directory has no optimizer state to fork" : "there is no run to fork",
        path.string(), weights ? "start from its weights with --init-from" : "give RUN or RUN:STEP");
  }
  if (!step) return newest_of(path);
  for (const StepDirectory& listed : list_checkpoints(path)) {
    if (listed.step == *step) return listed.path;
  }
  const std::string there = steps_there(path);
  user_error(fmt::format("there is no checkpoint of step {}", *step), path.string(),
             there.empty() ? "the run has no checkpoints" : "its checkpoints are of the steps " + there);
}

RunPosition beginning_of(const nlohmann::json& sections) {
  const auto begun = sections.find("begun");
  if (begun == sections.end()) return {};
  return {begun->at("step").get<std::int64_t>(), begun->at("samples").get<std::int64_t>(),
          begun->at("tokens").get<std::int64_t>()};
}

nlohmann::json to_json(const RunPosition& position) {
  return {{"step", position.step}, {"samples", position.samples}, {"tokens", position.tokens}};
}

std::string reason_to_read_anew(const RunConfig& source, const RunConfig& fork,
                                const nlohmann::json& source_data, const nlohmann::json& data) {
  if (source_data != data) return "the data are others";
  const auto was = source.data.sources(), is = fork.data.sources();
  if (was.size() != is.size()) return "data.mix has another number of sources";
  for (std::size_t i = 0; was.size() > 1 && i < was.size(); ++i) {
    if (was[i].weight != is[i].weight) return "data.mix has other weights";
  }
  if (source.data.seq_len != fork.data.seq_len) return "data.seq_len differs";
  if (source.data.shuffle != fork.data.shuffle) return "data.shuffle differs";
  if (fork.data.shuffle && source.data.seed != fork.data.seed) return "data.seed differs";
  return {};
}

RunPosition fork_position(const Checkpoint& source, const RunConfig& source_config, bool read_anew) {
  const RunPosition begun = beginning_of(source.sections());
  const std::int64_t own = source.step() - begun.step;
  return {.step = source.step(),
          .samples = read_anew ? 0 : source.consumed_samples(),
          .tokens = begun.tokens + own * source_config.train.batch_size * source_config.data.seq_len};
}

}  // namespace granule
