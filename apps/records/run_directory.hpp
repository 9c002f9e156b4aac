// The files of a run besides its checkpoints: config.toml, metrics.jsonl, router.bin, log.txt, the tokenizer,
// and TensorBoard's event files.
#pragma once
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/program/progress.hpp"
#include "apps/records/event_file.hpp"
#include "data/files/run_lock.hpp"

namespace granule {

/// What router.bin contains. It begins with `kHeaderBytes` bytes of JSON, padded with spaces and closed by a
/// newline:
///   {"format": "granule-router/1", "dtype": "int32", "layers": […], "experts": E, "header_bytes": …}
/// Then come int32 counts [layer][expert] of every step from `first_step` on, little-endian.
struct RouterLayout {
  std::vector<std::int64_t> layers;
  std::int64_t experts = 0;
  /// The step of the first record. In a fork it is a later one, and the header says which.
  std::int64_t first_step = 1;
  static constexpr std::size_t kHeaderBytes = 4096;
  [[nodiscard]] std::size_t record_bytes() const {
    return layers.size() * static_cast<std::size_t>(experts) * 4;
  }
};

class RunDirectory {
 public:
  enum class Open : bool { fresh, resume };
  /// Locks the directory while this object exists. For Open::fresh it must be new or empty (else a user
  /// error).
  RunDirectory(const std::filesystem::path& path, Open mode);
  /// If a job fails before a step is recorded, an originally empty directory becomes empty again, except for
  /// its lock. So the same --out can be given again.
  ~RunDirectory();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void write_config(const std::string& toml) const;
  void copy_tokenizer(const std::filesystem::path& tokenizer) const;
  /// Copies files of the model that the run starts from, see apps/models/carried_files.hpp.
  void take_over(const std::vector<std::filesystem::path>& files);
  /// A file of such a name that the model does not have itself.
  void take_over(const std::string& name, std::string_view text);

  enum class TensorBoard : bool { no, yes };
  /// Opens metrics.jsonl and router.bin to continue after `step`. Records of later steps are cut off. With
  /// TensorBoard::yes, every row of metrics is also written to an event file.
  void open_records(const RouterLayout& layout, std::int64_t step, TensorBoard tensorboard);
  /// Whether the last row that open_records() kept is of this step and has its evaluation. If the row has
  /// none, it is removed, so that it can be appended again.
  [[nodiscard]] bool has_evaluation_of(std::int64_t step);
  void append_metrics(const nlohmann::ordered_json& row);
  /// Appends the counts of one step, [layer][expert].
  void append_counts(std::span<const std::int64_t> counts);
  /// When this returns, everything that was appended is on the disk. Throws exit code 74.
  void sync();
  /// Writes a line for people to stderr and to log.txt.
  void log(const std::string& line);
  /// The same for one of many lines. log.txt gets all of them, and stderr gets what its reader takes in time.
  void log_step(const std::string& line);
  /// Shows the state of the work, redrawn in place on a terminal. Does nothing if stderr is not a terminal.
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
  bool recorded_ = false;  // whether anything of a step is recorded
  std::unique_ptr<RunLock> lock_;
  File metrics_, router_, log_;
  std::vector<std::int64_t> layers_;
  std::unique_ptr<EventFile> events_;
  Progress progress_;
  bool terminal_;
};

}  // namespace granule
