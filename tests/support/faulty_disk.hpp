// A disk whose n-th call that writes fails in a chosen way. If the fault is sticky, every later call fails
// too.
#pragma once
#include "data/files/disk.hpp"

namespace granule::test {

enum class Fault { none, eio, eio_sticky, enospc, enospc_sticky, short_write, interrupted, kill, torn };

/// The kinds of faults:
///   kill: the process ends before the call
///   torn: half of the write reaches the file, then the process ends
///   short_write, interrupted: only calls that may be repeated are affected (write; write, fsync, create)
class FaultyDisk : public Disk {
 public:
  FaultyDisk(Fault fault, int at) : fault_(fault), at_(at) {}
  [[nodiscard]] int calls() const { return calls_; }
  [[nodiscard]] int faults() const { return faults_; }

  int create(const char* path) override;
  int open_directory(const char* path) override;
  ssize_t write(int fd, const void* data, std::size_t size) override;
  int fsync(int fd) override;
  int close(int fd) override;
  int rename(const char* from, const char* to) override;
  int mkdir(const char* path) override;
  int unlink(const char* path) override;
  int rmdir(const char* path) override;

 private:
  enum class Repeatable { yes, no };
  /// Counts the call. Returns true if it must fail, with errno set.
  bool strikes(Repeatable repeatable);

  Fault fault_;
  int at_;
  int calls_ = 0;
  int faults_ = 0;
};

}  // namespace granule::test
