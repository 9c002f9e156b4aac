// metrics.jsonl of a long run, which is shortened in place and read from its end.
#include "apps/records/metrics_file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using granule::test::TempDir;
using granule::test::text_of;
using granule::test::write_text;
namespace fs = std::filesystem;

namespace {

/// Rows of steps 1 to `count`. Every third has an evaluation, and some are longer than a piece that is read.
std::string rows(int count) {
  std::string text;
  for (int step = 1; step <= count; ++step) {
    const std::string evaluation = step % 3 == 0 ? fmt::format(",\"val_ce\":{}.5", step) : "";
    text += fmt::format("{{\"step\":{},\"ce\":{}.25{},\"more\":\"{}\"}}\n", step, step, evaluation,
                        std::string(static_cast<std::size_t>(step % 5 == 0 ? 70'000 : step), 'x'));
  }
  return text;
}

ino_t inode_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(stat(file.c_str(), &status) == 0);
  return status.st_ino;
}

}  // namespace

TEST_CASE("metrics_file: metrics.jsonl is cut back where it is, and no second copy is made") {
  const TempDir temp;
  const fs::path file = temp / "metrics.jsonl";
  write_text(file, rows(40));
  const ino_t inode = inode_of(file);
  const MetricsCut cut = cut_metrics(file, 23);
  CHECK(cut.rows == 23);
  CHECK_FALSE(cut.damaged);
  CHECK(text_of(file) == rows(23));
  CHECK(inode_of(file) == inode);
  CHECK(cut_metrics(file, 50).rows == 23);
  CHECK(text_of(file) == rows(23));
  CHECK(cut_metrics(file, 0).rows == 0);
  CHECK(fs::file_size(file) == 0);
  CHECK(cut_metrics(temp / "absent", 3).rows == 0);
  CHECK_FALSE(fs::exists(temp / "absent"));
}

TEST_CASE("metrics_file: metrics.jsonl is cut after its last row that is whole") {
  const TempDir temp;
  const fs::path file = temp / "metrics.jsonl";
  write_text(file, rows(6) + "{\"step\":7,\"ce\":1.0");  // a crash
  CHECK_FALSE(cut_metrics(file, 50).damaged);
  CHECK(text_of(file) == rows(6));
  for (const std::string damage : {"{\"step\":7x}", "{\"step\":}", "{\"step\":7,", "", "[7]", "\"step\""}) {
    CAPTURE(damage);
    write_text(file, rows(6) + damage + "\n" + rows(9));
    const MetricsCut cut = cut_metrics(file, 50);
    CHECK(cut.damaged);
    CHECK(cut.rows == 6);
    CHECK(text_of(file) == rows(6));
    CHECK(text_of(cut.copy) == rows(6) + damage + "\n" + rows(9));
  }
  CHECK(fs::exists(temp / "metrics.jsonl.damaged"));
  CHECK(fs::exists(temp / "metrics.jsonl.damaged-6"));               // every damaged file was kept
  write_text(file, "{\"ce\": 1, \"step\": 1}\n{ \"step\" : 2 }\n");  // another program might write it so
  CHECK(cut_metrics(file, 1).rows == 1);
  CHECK(text_of(file) == "{\"ce\": 1, \"step\": 1}\n");
}

TEST_CASE("metrics_file: rows are read from the end of metrics.jsonl on") {
  const TempDir temp;
  const fs::path file = temp / "metrics.jsonl";
  write_text(file, rows(40) + "{\"step\":41");
  RowsFromEnd all(file);
  for (int step = 40; step >= 1; --step) CHECK(all.next().value()["step"] == step);
  CHECK_FALSE(all.next());
  RowsFromEnd evaluated(file);
  CHECK(evaluated.next_with("val_ce").value()["val_ce"] == 39.5);
  CHECK(evaluated.next_with("val_ce").value()["step"] == 36);
  CHECK(evaluated.next().value()["step"] == 35);
  CHECK_FALSE(RowsFromEnd(file).next_with("absent"));
  write_text(file, "");
  CHECK_FALSE(RowsFromEnd(file).next());
  CHECK_FALSE(RowsFromEnd(temp / "absent").next());
}
