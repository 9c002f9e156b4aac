#include "apps/runs/provenance.hpp"

#include <chrono>
#include <fstream>
#include <iterator>

#include <fmt/chrono.h>

#include "apps/program/console.hpp"
#include "apps/program/version.hpp"
#include "core/error.hpp"
#include "data/files/atomic_file.hpp"
#include "data/files/strict_json.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFormat = "granule-run/1";

/// Whether this program can continue the record.
bool is_record(const json& record) {
  return record.is_object() && record.value("format", json()) == kFormat && record.contains("start") &&
         record.contains("sessions") && record["sessions"].is_array();
}

std::string text_or(const json& object, const char* key, const char* otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : otherwise;
}

std::string joined(const json& list) {
  std::string text;
  if (!list.is_array()) return text;
  for (const json& word : list) {
    if (!word.is_string()) continue;
    if (!text.empty()) text += ' ';
    text += word.get<std::string>();
  }
  return text;
}

}  // namespace

json described_data(const RunConfig& config, const json& identity) {
  json described = identity;
  const auto sources = config.data.sources();
  for (std::size_t i = 0; i < sources.size() && i < described["sources"].size(); ++i)
    described["sources"][i]["path"] = as_utf8(sources[i].directory.string());
  return described;
}

std::string as_utf8(std::string_view text) {
  Utf8Stream stream;
  std::string valid = stream.add(text);
  return valid + stream.finish();
}

std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(as_utf8(word));
  return words;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

Provenance::Provenance(const json& before, const json& start)
    : record_(is_record(before) ? before
                                : json{{"format", kFormat}, {"start", start}, {"sessions", json::array()}}) {}

void Provenance::begin(const Session& session, const json& data) {
  std::error_code unknown;
  const std::string directory = as_utf8(fs::current_path(unknown).string());
  record_["sessions"].push_back({{"version", program_version()},
                                 {"commit", program_commit()},
                                 {"command", command_line()},
                                 {"working_directory", directory},
                                 {"hosts", session.hosts},
                                 {"ranks", session.ranks},
                                 {"threads", session.threads},
                                 {"instruction_set", cpu_target()},
                                 {"from_step", session.from_step},
                                 {"steps", session.steps},
                                 {"data", data},
                                 {"started", utc_now()},
                                 {"ended", nullptr},
                                 {"to_step", nullptr},
                                 {"stopped_by", nullptr}});
}

void Provenance::end(std::int64_t step, const json& stopped_by) {
  GRANULE_CHECK(!record_["sessions"].empty(), "provenance: no session has begun");
  json& session = record_["sessions"].back();
  session["ended"] = utc_now();
  session["to_step"] = step;
  session["stopped_by"] = stopped_by;
}

void Provenance::write(const fs::path& run) const {
  write_file(run / file_name(), record_.dump(2) + "\n");
}

json provenance_of(const fs::path& run, const json& sections) {
  const fs::path file = run / Provenance::file_name();
  std::error_code failure;
  if (fs::exists(file, failure)) {
    try {
      json record = load_json_object(file);
      if (is_record(record)) return record;
      say("granule: warning: {} has another format, and its record is not continued", file.string());
    } catch (const Error& damage) {
      say("granule: warning: {}", damage.what());
    }
  }
  const auto saved = sections.find("provenance");
  return saved != sections.end() && is_record(*saved) ? *saved : json();
}

std::vector<std::string> provenance_text(const json& provenance) {
  std::vector<std::string> lines;
  if (!is_record(provenance) || provenance["sessions"].empty()) return lines;
  const json& sessions = provenance["sessions"];
  const json& last = sessions.back();
  lines.push_back(fmt::format("trained by granule {} ({}) on {}", text_or(last, "version", "?"),
                              text_or(last, "commit", "?"), joined(last.value("hosts", json()))));
  lines.push_back(fmt::format("{} session{}, the first from {}, the last {}", sessions.size(),
                              sessions.size() == 1 ? "" : "s", text_or(sessions[0], "started", "?"),
                              last.value("ended", json()).is_string()
                                  ? "until " + text_or(last, "ended", "?")
                                  : "from " + text_or(last, "started", "?")));
  lines.push_back("command: " + joined(last.value("command", json())));
  const json& start = provenance["start"];
  if (start.is_object() && start.contains("path"))
    lines.push_back(
        fmt::format("weights from {} ({})", text_or(start, "path", "?"), text_or(start, "kind", "?")));
  return lines;
}

}  // namespace granule
