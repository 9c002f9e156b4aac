// Every config that the project ships can be loaded, and the model is as large as its name says.
#include <filesystem>

#include <fmt/format.h>

#include "apps/config/run_config.hpp"
#include "apps/sweep/cells/cells.hpp"
#include "moe/model/counts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"

namespace fs = std::filesystem;
using granule::ParameterCounts;
using granule::RunConfig;
using granule::test::source_dir;

namespace {

const fs::path kConfigs = fs::path(source_dir()) / "configs";

RunConfig shipped(const std::string& name) {
  return granule::load_run_config(kConfigs / name, std::vector<std::string>{});
}

ParameterCounts counts_of(const std::string& name) {
  const RunConfig config = shipped(name);
  return granule::count_parameters(config.model, config.moe);
}

/// The parameters of a layer's experts, shared and routed, and those that one token uses.
std::int64_t expert_parameters(const ParameterCounts& counts) {
  return counts.shared_experts + counts.routed_experts + counts.dense_ffn;
}
std::int64_t activated_experts(const ParameterCounts& counts) {
  return counts.shared_experts + counts.routed_activated + counts.dense_ffn;
}

}  // namespace

TEST_CASE("shipped_configs: every config that is shipped loads") {
  int count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kConfigs)) {
    if (entry.path().extension() != ".toml") continue;
    INFO(entry.path().string());
    ++count;
    if (entry.path().parent_path().filename() == "ablations") {
      const auto facts = [](const granule::RunConfig&) { return granule::DataFacts{4096, 9000}; };
      CHECK_NOTHROW(granule::cells_of(granule::read_sweep(entry.path(), {}), 1, facts));
      continue;
    }
    const granule::RunConfig config = granule::load_run_config(entry.path(), std::vector<std::string>{});
    CHECK_NOTHROW(granule::resolve_steps(config, 1000));
  }
  CHECK(count >= 14);
}

TEST_CASE("shipped_configs: the paper's models have the paper's sizes") {
  const ParameterCounts b16 = counts_of("paper/deepseekmoe-16b.toml");
  CHECK(b16.total() == 16'375'728'128);
  CHECK(b16.activated() == 2'828'650'496);
  // The paper says 2.0 B / 0.3 B. 1.89 B of them are in experts: 16 standard networks in each layer.
  const ParameterCounts b2 = counts_of("paper/deepseekmoe-2b.toml");
  CHECK(double(b2.total()) / 1e9 == Approx(2.0).margin(0.05));
  CHECK(double(b2.activated()) / 1e9 == Approx(0.3).margin(0.05));
  CHECK(double(expert_parameters(b2)) / 1e9 == Approx(1.89).margin(0.005));
  CHECK(double(activated_experts(b2)) / 1e9 == Approx(0.24).margin(0.005));
  // The paper says 144.6 B / 22.2 B, and 585.6 T FLOPs for 4096 tokens. That is 28.5 % of the 2057.5 T of a
  // dense 67 B.
  const ParameterCounts b145 = counts_of("paper/deepseekmoe-145b.toml");
  CHECK(double(b145.total()) / 1e9 == Approx(144.6).margin(0.1));
  CHECK(double(b145.activated()) / 1e9 == Approx(22.2).margin(0.1));
}

TEST_CASE("shipped_configs: the baselines have the same parameters where the paper has them so") {
  const ParameterCounts dense = counts_of("baselines/dense.toml"), hash = counts_of("baselines/hash.toml"),
                        switched = counts_of("baselines/switch.toml"),
                        gshard = counts_of("baselines/gshard.toml"),
                        ours = counts_of("baselines/deepseekmoe.toml");
  // All models except the dense one have 16 standard networks in each layer, and activate one or two of them.
  for (const ParameterCounts& counts : {hash, switched, gshard, ours})
    CHECK(expert_parameters(counts) == 16 * expert_parameters(dense));
  CHECK(activated_experts(hash) == activated_experts(dense));
  CHECK(activated_experts(switched) == activated_experts(dense));
  CHECK(activated_experts(gshard) == 2 * activated_experts(dense));
  CHECK(activated_experts(ours) == activated_experts(gshard));
  // The other parameters are the same everywhere, except for the routers, which are small.
  for (const ParameterCounts& counts : {hash, switched, gshard, ours}) {
    CHECK(counts.attention == dense.attention);
    CHECK(counts.norms == dense.norms);
    CHECK(counts.router < counts.total() / 500);
  }
  CHECK(hash.router == 0);
}

TEST_CASE("shipped_configs: the baselines train on the same data in the same way") {
  const RunConfig dense = shipped("baselines/dense.toml");
  for (const char* const name : {"hash", "switch", "gshard", "deepseekmoe"}) {
    RunConfig config = shipped(fmt::format("baselines/{}.toml", name));
    config.moe = dense.moe;
    config.model.intermediate_size = dense.model.intermediate_size;
    INFO(name);
    CHECK(config == dense);
  }
}
