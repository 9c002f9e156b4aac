// CPU quotas in the files of control groups, on a host and as a container sees them.
#include "core/cpu_quota.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using granule::cpu_quota;
using granule::test::TempDir;
namespace fs = std::filesystem;

namespace {

/// A file system with files of control groups.
class Host {
 public:
  Host(const std::string& mounts, const std::string& groups) {
    write("proc/self/mountinfo", "21 1 0:20 / / rw - ext4 /dev/sda1 rw\n" + mounts);
    write("proc/self/cgroup", groups);
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::optional<double> quota() const { return cpu_quota(root_.path()); }

 private:
  TempDir root_;
};

const std::string kVersion2 = "30 21 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
const std::string kVersion1 =
    "30 21 0:26 / /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup rw,memory\n"
    "31 21 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 master:2 - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("cpu_quota: version 2: the smallest quota of a group and of those above it counts") {
  const Host host(kVersion2, "0::/user.slice/job\n");
  CHECK(host.quota() == std::nullopt);
  host.write("sys/fs/cgroup/user.slice/job/cpu.max", "max 100000\n");
  CHECK(host.quota() == std::nullopt);
  host.write("sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n");
  CHECK(host.quota() == 2.5);
  host.write("sys/fs/cgroup/user.slice/job/cpu.max", "40000 80000\n");
  CHECK(host.quota() == 0.5);
  host.write("sys/fs/cgroup/user.slice/job/cpu.max", "400000 100000\n");
  CHECK(host.quota() == 2.5);
  host.write("sys/fs/cgroup/other/cpu.max", "1000 100000\n");
  CHECK(host.quota() == 2.5);
}

TEST_CASE("cpu_quota: version 1: quota over period, of the group with the cpu controller") {
  const Host host(kVersion1, "5:memory:/elsewhere\n4:cpu,cpuacct:/docker/3f\n0::/\n");
  const std::string group = "sys/fs/cgroup/cpu,cpuacct/docker/";
  host.write(group + "3f/cpu.cfs_quota_us", "-1\n");
  host.write(group + "3f/cpu.cfs_period_us", "100000\n");
  CHECK(host.quota() == std::nullopt);
  host.write(group + "3f/cpu.cfs_quota_us", "150000\n");
  CHECK(host.quota() == 1.5);
  host.write(group + "cpu.cfs_quota_us", "50000\n");
  host.write(group + "cpu.cfs_period_us", "50000\n");
  CHECK(host.quota() == 1.0);
}

TEST_CASE("cpu_quota: a container sees its own group as the root of the mount, named as outside or not") {
  for (const std::string group : {"/docker/3f", "/", "/../other"}) {
    const Host one("31 21 0:27 /docker/3f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpuacct,cpu\n",
                   "4:cpuacct,cpu:" + group + "\n");
    one.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000");
    one.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    CHECK(one.quota() == 3.0);
    const Host two("31 21 0:27 /docker/3f /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::" + group + "\n");
    two.write("sys/fs/cgroup/cpu.max", "300000 100000");
    CHECK(two.quota() == 3.0);
  }
  // The mount is that of the host, and the group is in a container's own name space.
  const Host host(kVersion2, "0::/\n");
  host.write("sys/fs/cgroup/cpu.max", "100000 100000");
  CHECK(host.quota() == 1.0);
}

TEST_CASE("cpu_quota: both versions at once, places with spaces, and files that say nothing") {
  const Host host(kVersion1 + "32 21 0:28 / /sys/fs/cgroup\\040two rw - cgroup2 cgroup rw\n",
                  "4:cpu,cpuacct:/a\n0::/b\n");
  host.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "800000");
  host.write("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000");
  host.write("sys/fs/cgroup two/b/cpu.max", "600000 100000");
  CHECK(host.quota() == 6.0);
  host.write("sys/fs/cgroup two/b/cpu.max", "");
  CHECK(host.quota() == 8.0);
  const TempDir empty;
  CHECK(cpu_quota(empty.path()) == std::nullopt);
}
