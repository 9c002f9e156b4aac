#include "apps/records/run_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/models/carried_files.hpp"
#include "apps/records/metrics_file.hpp"
#include "core/error.hpp"
#include "data/files/atomic_file.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot_write(const fs::path& path) {
  const int error = errno;
  io_error(fmt::format("cannot write: {}", std::strerror(error)), path.string(), advice_for(error));
}

/// A file that a killed job left, whose hosts were looking for it. See shared_directory.hpp.
bool is_sign(const std::string& name) {
  return name.starts_with(".shared-");
}

/// Whether there is anything except the lock of a job that did not get further.
bool holds_something(const fs::path& directory) {
  if (!fs::exists(directory)) return false;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (name != ".lock" && !is_sign(name)) return true;
  }
  return false;
}

/// Whether a job was killed before it recorded a step. Then there are only its own files, and they have no
/// records.
bool is_failed_start(const fs::path& directory) {
  if (!fs::exists(directory / ".lock") || !fs::exists(directory / "log.txt")) return false;
  const auto is_ours_and_empty = [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename();
    if (name == "metrics.jsonl") return entry.file_size() == 0;
    if (name == "router.bin") return entry.file_size() <= RouterLayout::kHeaderBytes;
    if (name == "checkpoints") return entry.is_directory() && fs::is_empty(entry.path());
    return name == ".lock" || name == "log.txt" || name == "config.toml" || name == "run.json" ||
           name == "tensorboard" || is_sign(name) || name.starts_with("tokenizer.") || is_taken_over(name);
  };
  return std::ranges::all_of(fs::directory_iterator(directory), is_ours_and_empty);
}

std::string router_header(const RouterLayout& layout) {
  nlohmann::ordered_json header{{"format", "granule-router/1"},
                                {"dtype", "int32"},
                                {"layers", layout.layers},
                                {"experts", layout.experts},
                                {"header_bytes", RouterLayout::kHeaderBytes}};
  if (layout.first_step > 1) header["first_step"] = layout.first_step;
  std::string text = header.dump();
  GRANULE_CHECK(text.size() < RouterLayout::kHeaderBytes, "router.bin: a header of {} bytes", text.size());
  text.resize(RouterLayout::kHeaderBytes - 1, ' ');
  return text + '\n';
}

}  // namespace

RunDirectory::RunDirectory(const fs::path& path, Open mode)
    : path_(path), terminal_(isatty(STDERR_FILENO) == 1) {
  std::error_code failure;
  if (fs::exists(path_) && !fs::is_directory(path_)) {
    user_error("--out names a file", path_.string(), "give --out a new or empty directory");
  }
  const bool failed_start = is_failed_start(path_);
  was_empty_ = failed_start || !holds_something(path_);
  if (mode == Open::fresh && !was_empty_) {
    if (fs::exists(path_ / ".lock"))
      RunLock{path_, std::chrono::milliseconds(0)};  // a running job is named in the error
    user_error("the directory is not empty", path_.string(),
               "give --out a new or empty directory, or --resume to go on with this run");
  }
  fs::create_directories(path_, failure);
  if (failure)
    user_error("cannot create the directory: " + failure.message(), path_.string(), "choose another --out");
  if (::access(path_.c_str(), W_OK | X_OK) != 0)
    user_error(fmt::format("cannot write in the directory: {}", std::strerror(errno)), path_.string(),
               "choose another --out");
  lock_ = std::make_unique<RunLock>(path_);
  if (failed_start) forget();
  log_ = open_for_append("log.txt");
  if (!lock_->missing().empty()) log("warning: " + lock_->missing());
}

RunDirectory::~RunDirectory() {
  if (was_empty_ && !recorded_) forget();
}

/// It ignores its own failures, because another error is already being reported.
void RunDirectory::forget() {
  std::error_code ignored;
  events_.reset();
  std::vector<fs::path> ours = taken_over_;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("tokenizer") || is_sign(name)) ours.push_back(entry.path());
  }
  for (const char* name :
       {"config.toml", "metrics.jsonl", "router.bin", "log.txt", "run.json", "checkpoints"})
    ours.push_back(path_ / name);
  for (const fs::path& path : ours) {
    // checkpoints/ is only removed if it is empty. A link existed before the job.
    if (!fs::is_symlink(path, ignored)) fs::remove(path, ignored);
  }
  fs::remove_all(path_ / "tensorboard", ignored);
}

RunDirectory::File RunDirectory::open_for_append(const char* name) const {
  const fs::path file = path_ / name;
  File opened(std::fopen(file.c_str(), "ab"));
  if (!opened) cannot_write(file);
  return opened;
}

void RunDirectory::write_config(const std::string& toml) const {
  write_file(path_ / "config.toml", toml);
}

void RunDirectory::copy_tokenizer(const fs::path& tokenizer) const {
  for (const fs::path& file : tokenizer_files(tokenizer)) copy_durably(file, path_ / file.filename());
}

void RunDirectory::take_over(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    copy_durably(file, path_ / file.filename());
    taken_over_.push_back(path_ / file.filename());
  }
}

void RunDirectory::take_over(const std::string& name, std::string_view text) {
  write_file(path_ / name, text);
  taken_over_.push_back(path_ / name);
}

void RunDirectory::cut_metrics(std::int64_t step) {
  const MetricsCut cut = granule::cut_metrics(path_ / "metrics.jsonl", step);
  if (cut.damaged)
    log(fmt::format("warning: metrics.jsonl is damaged: what follows its line {} is cut off, and {} keeps it",
                    cut.rows, cut.copy.filename().string()));
}

void RunDirectory::cut_router(const RouterLayout& layout, std::int64_t step) {
  const fs::path path = path_ / "router.bin";
  const std::string header = router_header(layout);
  std::ifstream file(path, std::ios::binary);
  std::string found(header.size(), '\0');
  const std::int64_t records = step - layout.first_step + 1;
  if (records == 0 || !file) {
    write_file(path, header);
  } else if (!file.read(found.data(), static_cast<std::streamsize>(found.size())) || found != header) {
    user_error("this is the record of another model", path.string(), "move it away to start a new record");
  }
  const auto size = header.size() + static_cast<std::size_t>(records) * layout.record_bytes();
  if (fs::file_size(path) < size) log("router.bin lost steps in a crash: they read as zero");
  std::error_code failure;
  fs::resize_file(path, size, failure);
  if (failure)
    io_error("cannot cut back: " + failure.message(), path.string(), "check permissions and free space");
}

void RunDirectory::open_records(const RouterLayout& layout, std::int64_t step, TensorBoard tensorboard) {
  cut_metrics(step);
  metrics_ = open_for_append("metrics.jsonl");
  layers_ = layout.layers;
  if (tensorboard == TensorBoard::yes) events_ = std::make_unique<EventFile>(path_ / "tensorboard", step + 1);
  if (layout.layers.empty()) return;
  cut_router(layout, step);
  router_ = open_for_append("router.bin");
}

bool RunDirectory::has_evaluation_of(std::int64_t step) {
  const fs::path path = path_ / "metrics.jsonl";
  const auto last = RowsFromEnd(path).next();
  if (!last || last->value("step", std::int64_t{-1}) != step) return false;
  if (last->contains("val_ce")) return true;
  granule::cut_metrics(path, step - 1);
  return false;
}

void RunDirectory::write(std::FILE* file, const void* data, std::size_t size, const char* name) const {
  if (std::fwrite(data, 1, size, file) != size || std::fflush(file) != 0) cannot_write(path_ / name);
}

void RunDirectory::append_metrics(const nlohmann::ordered_json& row) {
  recorded_ = true;
  const std::string line = row.dump() + '\n';
  write(metrics_.get(), line.data(), line.size(), "metrics.jsonl");
  if (events_) events_->append(row.at("step").get<std::int64_t>(), scalars_of(row, layers_));
}

void RunDirectory::append_counts(std::span<const std::int64_t> counts) {
  recorded_ = true;
  if (!router_) return;
  const std::vector<std::int32_t> narrow(counts.begin(), counts.end());
  write(router_.get(), narrow.data(), narrow.size() * sizeof(std::int32_t), "router.bin");
}

void RunDirectory::sync() {
  if (metrics_ && ::fdatasync(fileno(metrics_.get())) != 0) cannot_write(path_ / "metrics.jsonl");
  if (router_ && ::fdatasync(fileno(router_.get())) != 0) cannot_write(path_ / "router.bin");
  if (events_) events_->sync();
}

void RunDirectory::log(const std::string& line) {
  progress_.say(line);
  const std::string text = line + '\n';
  write(log_.get(), text.data(), text.size(), "log.txt");
}

void RunDirectory::log_step(const std::string& line) {
  progress_.say_one_of_many(line);
  const std::string text = line + '\n';
  write(log_.get(), text.data(), text.size(), "log.txt");
}

void RunDirectory::status(const std::string& line) {
  if (terminal_) progress_.show(line);
}

}  // namespace granule
