// A directory that appears complete or not at all: it is filled under another name and renamed at the end.
#pragma once
#include <filesystem>

namespace granule {

class OutputDirectory {
 public:
  /// `out` must be new or empty (else a user error). Work goes to OUT.partial, locked against a second job
  /// (exit code 73); what an interrupted job left there is removed.
  explicit OutputDirectory(const std::filesystem::path& out);
  /// Removes the work unless it was published.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where to write; files are synced by who writes them.
  [[nodiscard]] const std::filesystem::path& partial() const { return partial_; }
  void publish();

 private:
  void lock();
  void clear() const;

  std::filesystem::path out_, partial_;
  int lock_ = -1;
};

}  // namespace granule
