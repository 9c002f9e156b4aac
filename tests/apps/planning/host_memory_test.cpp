// How much memory a host has for a run, in trees that look like /proc and /sys, and which runs do not fit.
#include "apps/planning/host_memory.hpp"

#include "apps/planning/rehearsal.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using granule::test::TempDir;
using granule::test::write_text;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kMiB = 1 << 20;

/// The files of a machine with 1000 MiB available and 100 MiB of swap.
struct Machine {
  TempDir root;

  Machine() {
    put("proc/meminfo", "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\nSwapFree: 102400 kB\n");
    put("proc/self/cgroup", "0::/\n");
    put("proc/self/mountinfo", "25 30 0:23 / /proc rw - proc proc rw\n");
  }
  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories((root / file).parent_path());
    write_text(root / file, text);
  }
  void put_bytes(const fs::path& file, std::int64_t mebibytes) const {
    put(file, fmt::format("{}\n", mebibytes * kMiB));
  }
  void second_version(const std::string& path) const {
    put("proc/self/cgroup", "0::" + path + "\n");
    put("proc/self/mountinfo", "32 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
  }
  void first_version(const std::string& path, const std::string& mounted) const {
    put("proc/self/cgroup", "9:cpu,cpuacct:/elsewhere\n4:memory:" + path + "\n0::/\n");
    put("proc/self/mountinfo",
        "31 24 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 24 0:32 " +
            mounted + " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  }
  [[nodiscard]] std::int64_t room() const { return memory_room(root.path()).value().bytes / kMiB; }
  [[nodiscard]] std::string of() const { return memory_room(root.path()).value().of; }
};

PlanRequest small_request() {
  PlanRequest request;
  RunConfig& config = request.config;
  config.model = {.vocab_size = 512,
                  .hidden_size = 64,
                  .num_hidden_layers = 2,
                  .num_attention_heads = 2,
                  .num_key_value_heads = 2,
                  .intermediate_size = 96,
                  .max_position_embeddings = 128};
  config.data.seq_len = 128;
  config.train.batch_size = 16;
  config.train.micro_batch_size = 8;
  return request;
}

}  // namespace

TEST_CASE("without limits a run may take what the machine has, its swap included") {
  const Machine machine;
  CHECK(machine.room() == 1100);
  CHECK(machine.of() == "this host");
  machine.second_version("/job");
  machine.put("sys/fs/cgroup/job/memory.max", "max\n");
  CHECK(machine.room() == 1100);
  machine.first_version("/job", "/");
  machine.put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(machine.room() == 1100);
  machine.put("proc/meminfo", "MemTotal: 2048000 kB\n");
  CHECK_FALSE(memory_room(machine.root.path()));
  CHECK(memory_room().has_value());  // on the machine that runs this test
}

TEST_CASE("a cgroup of version 2 limits a run, and so does every group above it") {
  const Machine machine;
  machine.second_version("/slurm/job/step");
  machine.put_bytes("sys/fs/cgroup/slurm/job/step/memory.max", 900);
  machine.put_bytes("sys/fs/cgroup/slurm/job/step/memory.current", 300);
  CHECK(machine.room() == 700);  // including the machine's swap
  machine.put_bytes("sys/fs/cgroup/slurm/job/step/memory.swap.max", 0);
  CHECK(machine.room() == 600);
  machine.put("sys/fs/cgroup/slurm/job/step/memory.stat",
              fmt::format("anon 5\nfile 9\ninactive_file {}\nactive_file {}\n", 20 * kMiB, 30 * kMiB));
  CHECK(machine.room() == 650);  // pages of files can be given back
  machine.put_bytes("sys/fs/cgroup/slurm/job/memory.max", 500);
  machine.put_bytes("sys/fs/cgroup/slurm/job/memory.current", 250);
  machine.put_bytes("sys/fs/cgroup/slurm/job/memory.swap.max", 10);
  CHECK(machine.room() == 260);
  CHECK_THAT(machine.of(), Catch::EndsWith("/sys/fs/cgroup/slurm/job"));
}

TEST_CASE("a cgroup of version 1 limits a run, with swap and without") {
  const Machine machine;
  machine.first_version("/slurm/job", "/");
  machine.put_bytes("sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes", 800);
  machine.put_bytes("sys/fs/cgroup/memory/slurm/job/memory.usage_in_bytes", 300);
  machine.put("sys/fs/cgroup/memory/slurm/job/memory.stat",
              fmt::format("total_inactive_file {}\ntotal_active_file {}\n", 40 * kMiB, 10 * kMiB));
  CHECK(machine.room() == 650);
  machine.put_bytes("sys/fs/cgroup/memory/slurm/job/memory.memsw.limit_in_bytes", 820);
  machine.put_bytes("sys/fs/cgroup/memory/slurm/job/memory.memsw.usage_in_bytes", 300);
  CHECK(machine.room() == 570);
  machine.put_bytes("sys/fs/cgroup/memory/memory.limit_in_bytes", 400);
  CHECK(machine.room() == 500);
}

TEST_CASE("a container's limit is found where its own group is mounted as the root") {
  const Machine machine;
  machine.first_version("/docker/0123", "/docker/0123");
  machine.put_bytes("sys/fs/cgroup/memory/memory.limit_in_bytes", 200);
  CHECK(machine.room() == 300);
  machine.first_version("/docker/0123", "/");  // the path is that of another name space
  CHECK(machine.room() == 300);
  machine.second_version("/../../other");
  machine.put_bytes("sys/fs/cgroup/memory.max", 150);
  CHECK(machine.room() == 250);
}

TEST_CASE("a run that fits passes, one that does not is refused with keys that help") {
  const PlanRequest request = small_request();
  const std::int64_t bytes = rehearse(request, Routing::even).memory.peak;
  CHECK_NOTHROW(require_memory(request, 1, {bytes, "this host"}));
  CHECK_NOTHROW(require_memory(request, 1, {bytes - bytes / 50, "this host"}));
  CHECK_NOTHROW(require_memory(request, 2, {2 * bytes, "this host"}));
  try {
    require_memory(request, 2, {bytes, "the cgroup /slurm/job"});
    FAIL("it passed");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::out_of_memory);
    CHECK_THAT(error.what(), Catch::Contains("2 ranks, and the cgroup /slurm/job has") &&
                                 Catch::Contains(" MiB left") && Catch::Contains("it fits with train."));
  }
  CHECK_THROWS_WITH(require_memory(request, 1, {bytes / 100, "this host"}),
                    Catch::Contains("use a smaller model"));
}

TEST_CASE("beside an accelerator a host needs memory for what is offloaded, and for nothing else") {
  PlanRequest request = small_request();
  request.on_accelerator = true;
  CHECK_NOTHROW(require_memory(request, 8, {1, "this host"}));
  request.config.parallel.offload = true;
  const RankMemory memory = rehearse(request, Routing::even).memory;
  CHECK(memory.optimizer == 0);
  REQUIRE(memory.offloaded > 0);
  CHECK_NOTHROW(require_memory(request, 2, {2 * memory.offloaded, "this host"}));
  CHECK_THROWS_WITH(
      require_memory(request, 2, {memory.offloaded, "this host"}),
      Catch::Contains("the optimizer's state beside the device takes") && Catch::Contains("parallel.zero=1"));
}
