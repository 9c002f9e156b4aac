// The files of a run beside its checkpoints: config.toml, metrics.jsonl, router.bin, log.txt, the tokenizer,
// TensorBoard's event files.
#pragma once
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/program/progress.hpp"
#include "apps/training/event_file.hpp"
#include "data/files/run_lock.hpp"

namespace granule {

/// What router.bin holds: int32 counts [layer][expert] of every step from `first_step` on, little-endian,
/// behind `kHeaderBytes` bytes of JSON ({"format": "granule-router/1", "dtype": "int32", "layers": […],
/// "experts": E, "header_bytes": …}) padded with spaces and closed by a newline.
struct RouterLayout {
  std::vector<std::int64_t> layers;
  std::int64_t experts = 0;
  std::int64_t first_step = 1;  ///< of the first record: later in a fork, whose header says so
  static constexpr std::size_t kHeaderBytes = 4096;
  [[nodiscard]] std::size_t record_bytes() const {
    return layers.size() * static_cast<std::size_t>(experts) * 4;
  }
};

class RunDirectory {
 public:
  enum class Open : bool { fresh, resume };
  /// Locks the directory for the life of this object. Open::fresh wants it new or empty (user error).
  RunDirectory(const std::filesystem::path& path, Open mode);
  /// A job that fails before a step is recorded leaves a directory that was empty as it was, but for its
  /// lock: the same --out can be given again.
  ~RunDirectory();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void write_config(const std::string& toml) const;
  void copy_tokenizer(const std::filesystem::path& tokenizer) const;
  /// Files of the model that the run starts from, see apps/models/carried_files.hpp.
  void take_over(const std::vector<std::filesystem::path>& files);

  enum class TensorBoard : bool { no, yes };
  /// Opens metrics.jsonl and router.bin to go on after `step`: what later steps left behind is cut off. With
  /// TensorBoard::yes every row of metrics is written to an event file too.
  void open_records(const RouterLayout& layout, std::int64_t step, TensorBoard tensorboard);
  /// Whether the last row that open_records() kept is of this step and has its evaluation. A row of the step
  /// without one is taken back, to be appended anew.
  [[nodiscard]] bool has_evaluation_of(std::int64_t step);
  void append_metrics(const nlohmann::ordered_json& row);
  /// Counts of one step, [layer][expert].
  void append_counts(std::span<const std::int64_t> counts);
  /// Everything appended is on the disk when this returns. Throws exit code 74.
  void sync();
  /// A line for people: to stderr and to log.txt.
  void log(const std::string& line);
  /// The same for one of many lines: log.txt has all of them, stderr what its reader takes in time.
  void log_step(const std::string& line);
  /// The state of the work, redrawn in place on a terminal; nothing where stderr is not one.
  void status(const std::string& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  [[nodiscard]] File open_for_append(const char* name) const;
  void forget();
  std::vector<std::filesystem::path> taken_over_;
  void cut_metrics(std::int64_t step);
  void cut_router(const RouterLayout& layout, std::int64_t step);
  void write(std::FILE* file, const void* data, std::size_t size, const char* name) const;

  std::filesystem::path path_;
  bool was_empty_;
  bool recorded_ = false;  // anything of a step
  std::unique_ptr<RunLock> lock_;
  File metrics_, router_, log_;
  std::vector<std::int64_t> layers_;
  std::unique_ptr<EventFile> events_;
  Progress progress_;
  bool terminal_;
};

}  // namespace granule
