// Files that cannot be removed while the checkpoints are safe. On NFS somebody may read them, or they have
// another owner, or a quota is exceeded. No save and no start fails because of them.
#include "distributed/checkpoints/checkpoint_tidy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "tests/support/catch.hpp"
#include "tests/support/example_checkpoint.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using Catch::Contains;
using granule::test::ExampleCheckpoint;
using granule::test::TempDir;
namespace fs = std::filesystem;

namespace {

/// A disk on which calls of one kind fail if the path contains a text.
class StubbornDisk : public Disk {
 public:
  enum class Call { none, unlink, create, sync };
  Call call = Call::none;
  std::string where;
  int error = 0;

  void refuse(Call new_call, const std::string& new_where, int new_error) {
    call = new_call;
    where = new_where;
    error = new_error;
  }
  int unlink(const char* path) override { return fails(Call::unlink, path) ? -1 : Disk::unlink(path); }
  int create(const char* path) override { return fails(Call::create, path) ? -1 : Disk::create(path); }
  int open_directory(const char* path) override {
    opened_ = path;
    return Disk::open_directory(path);
  }
  int fsync(int fd) override {
    const bool refused = fails(Call::sync, opened_.c_str());
    opened_.clear();
    return refused ? -1 : Disk::fsync(fd);
  }

 private:
  bool fails(Call wanted, const char* path) {
    if (call != wanted || std::strstr(path, where.c_str()) == nullptr) return false;
    errno = error;
    return true;
  }
  std::string opened_;  // the directory that is synced next
};

/// A run that keeps one checkpoint, and the warnings of that run.
struct Run {
  TempDir dir;
  StubbornDisk disk;
  std::vector<std::string> warnings;
  std::optional<CheckpointWriter> writer;

  void start() {
    writer.emplace(CheckpointOptions{.run_directory = dir.path(),
                                     .keep = 1,
                                     .max_file_bytes = test::kExampleFileBytes,
                                     .warn = [this](const std::string& line) { warnings.push_back(line); }},
                   disk);
  }
  void save(std::int64_t step) {
    REQUIRE_NOTHROW(writer->save(ExampleCheckpoint(step, dir.path()).content()));
    const FoundCheckpoint found = find_newest_valid(dir.path());
    REQUIRE(found.checkpoint);
    CHECK(ExampleCheckpoint(step, dir.path()).equals(*found.checkpoint));
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir / "checkpoints"))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::string latest() const {
    std::ifstream file(dir / "checkpoints/latest");
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

using Names = std::vector<std::string>;
using Call = StubbornDisk::Call;

}  // namespace

TEST_CASE(
    "checkpoint_tidy: an old checkpoint that cannot be removed is a warning, said once and tried again at "
    "each save") {
  for (const int error : {EBUSY, EACCES}) {
    Run run;
    run.start();
    run.save(1);
    run.disk.refuse(Call::unlink, "trash.step-00000001.0/model-00001", error);
    for (const std::int64_t step : {2, 3}) run.save(step);
    REQUIRE(run.warnings.size() == 1);
    CHECK_THAT(run.warnings[0], Contains("trash.step-00000001.0/model-00001") &&
                                    Contains(std::strerror(error)) && Contains("the next save tries again"));
    CHECK(run.names() == Names{"latest", "step-00000003", "trash.step-00000001.0"});
    // Everything except the file that is in use was removed.
    CHECK(std::distance(fs::directory_iterator(run.dir / "checkpoints/trash.step-00000001.0"), {}) == 1);
    run.start();  // this is a resume
    run.save(4);
    CHECK(run.warnings.size() == 2);
    run.disk.refuse(Call::none, "", 0);
    run.save(5);
    CHECK(run.names() == Names{"latest", "step-00000005"});
  }
}

TEST_CASE(
    "checkpoint_tidy: what a killed save left and nobody can remove is gone round, though it has the step's "
    "name") {
  Run run;
  for (const char* const name : {"tmp.step-00000002", "tmp.step-00000002.1", "trash.step-00000002.0"}) {
    fs::create_directories(run.dir / "checkpoints" / name);
    std::ofstream(run.dir / "checkpoints" / name / "state.json") << "x";
  }
  std::ofstream(run.dir / "checkpoints/latest.part-0123abcd") << "x";
  run.disk.refuse(Call::unlink, "state.json", EACCES);
  run.start();
  run.save(2);
  CHECK(run.warnings.size() == 3);
  CHECK(run.names() == Names{"latest", "step-00000002", "tmp.step-00000002", "tmp.step-00000002.1",
                             "trash.step-00000002.0"});
}

TEST_CASE("checkpoint_tidy: a `latest` over quota is a warning, and is written at the next save") {
  Run run;
  run.start();
  run.save(1);
  run.disk.refuse(Call::create, "latest", EDQUOT);
  run.save(2);
  CHECK(run.latest() == "step-00000001\n");
  CHECK(run.names() == Names{"latest", "step-00000002"});
  REQUIRE(run.warnings.size() == 1);
  CHECK_THAT(run.warnings[0], Contains("latest") && Contains("free some space"));
  run.disk.refuse(Call::none, "", 0);
  run.save(3);
  CHECK(run.latest() == "step-00000003\n");
}

TEST_CASE("checkpoint_tidy: a directory that cannot be made durable keeps the old checkpoint until it can") {
  Run run;
  run.start();
  run.save(1);
  ExampleCheckpoint second(2, run.dir.path());
  CheckpointContent content = second.content();
  content.before_commit = [&] { run.disk.refuse(Call::sync, "checkpoints", EIO); };
  REQUIRE_NOTHROW(run.writer->save(content));
  CHECK(run.names() == Names{"latest", "step-00000001", "step-00000002"});
  CHECK(!run.warnings.empty());
  run.disk.refuse(Call::none, "", 0);
  run.save(3);
  CHECK(run.names() == Names{"latest", "step-00000003"});
}

TEST_CASE("checkpoint_tidy: a file system that has no call to make directories durable is no error") {
  for (const int error : {EINVAL, EBADF, EOPNOTSUPP}) {
    Run run;
    run.disk.refuse(Call::sync, "checkpoints", error);
    run.start();
    for (const std::int64_t step : {1, 2}) run.save(step);
    CHECK(run.warnings.empty());
    CHECK(run.names() == Names{"latest", "step-00000002"});
  }
}

TEST_CASE(
    "checkpoint_tidy: leftovers of a killed save are swept, those beside the checkpoints too, and nothing "
    "else") {
  const TempDir dir;
  for (const char* const name : {"tmp.step-00000002", "trash.step-00000001.0", "step-00000001"}) {
    fs::create_directories(dir / "checkpoints" / name);
    std::ofstream(dir / "checkpoints" / name / "file") << "x";
  }
  for (const char* const name : {"metrics.jsonl.part-89abcdef", "metrics.jsonl", "notes.part-one"})
    std::ofstream(dir / name) << "x";
  sweep_leftovers(dir.path(), {});
  CHECK(std::distance(fs::directory_iterator(dir / "checkpoints"), {}) == 1);
  CHECK(fs::exists(dir / "checkpoints/step-00000001/file"));
  CHECK(fs::exists(dir / "metrics.jsonl"));
  CHECK(fs::exists(dir / "notes.part-one"));
  CHECK(!fs::exists(dir / "metrics.jsonl.part-89abcdef"));
  CHECK_NOTHROW(sweep_leftovers(dir / "absent", {}));
}

TEST_CASE("checkpoint_tidy: checkpoints that link to nothing are refused by name") {
  const TempDir dir;
  fs::create_directory_symlink(dir / "absent", dir / "checkpoints");
  CHECK_THROWS_WITH(CheckpointWriter({.run_directory = dir.path()}), Contains("a link to nothing"));
}
