// The history of a run, in run.json in its directory and in a section of every checkpoint. Only rank 0 has
// it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

/// A job that worked on a run, with everything that a reader needs to repeat it.
struct Session {
  std::vector<std::string> hosts;  ///< each host once
  std::int64_t ranks = 1, threads = 1;
  std::int64_t from_step = 0;  ///< steps that were done before
  std::int64_t steps = 0;      ///< of the whole run
};

/// {"sources": [{"path", "tokens", "sha256"}], …}: the identity of the data, with the paths where they were.
[[nodiscard]] nlohmann::json described_data(const RunConfig& config, const nlohmann::json& identity);

/// The same text with U+FFFD for bytes that are not UTF-8, because JSON must be UTF-8.
[[nodiscard]] std::string as_utf8(std::string_view text);

/// The command line of this process.
[[nodiscard]] std::vector<std::string> command_line();
/// The time now, as "2026-11-28T10:46:07Z".
[[nodiscard]] std::string utc_now();

class Provenance {
 public:
  /// Continues `before`, an earlier state of this record, which is null for a new run. `start` says where the
  /// weights of a new run come from.
  Provenance(const nlohmann::json& before, const nlohmann::json& start);

  /// Appends this process's session, with the program, the command line and the time.
  void begin(const Session& session, const nlohmann::json& data);
  /// Completes the session. `stopped_by` is a signal's name, an error's message, or null.
  void end(std::int64_t step, const nlohmann::json& stopped_by);

  /// The record: {"format", "start", "sessions"}.
  [[nodiscard]] const nlohmann::json& record() const { return record_; }
  /// Throws io_error.
  void write(const std::filesystem::path& run) const;
  [[nodiscard]] static constexpr const char* file_name() { return "run.json"; }

 private:
  nlohmann::json record_;
};

/// What run.json says, or else what the newest checkpoint says about the run. Null if neither says anything.
[[nodiscard]] nlohmann::json provenance_of(const std::filesystem::path& run, const nlohmann::json& sections);

/// A few lines for people: program, hosts, times, and where the weights come from.
[[nodiscard]] std::vector<std::string> provenance_text(const nlohmann::json& provenance);

}  // namespace granule
