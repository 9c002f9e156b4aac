#include "apps/sweep/cells/cells.hpp"

#include <fstream>

#include "core/error.hpp"
#include "moe/model/counts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/temp_dir.hpp"

using Catch::Contains;
using granule::Cell;
using granule::Cells;
using granule::RunConfig;
using granule::test::TempDir;

namespace {

constexpr std::string_view kModel = R"([model]
vocab_size = 500
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 96
[moe]
n_routed_experts = 8
num_experts_per_tok = 2
moe_intermediate_size = 48
[train]
steps = 10
)";

Cells cells(const std::string& sweep, const std::vector<std::string>& overrides = {}) {
  const TempDir directory;
  std::ofstream(directory / "sweep.toml") << kModel << sweep;
  return cells_of(granule::read_sweep(directory / "sweep.toml", overrides), 1,
                  [](const RunConfig&) { return granule::DataFacts{}; });
}

std::vector<std::string> names(const Cells& all) {
  std::vector<std::string> list;
  for (const Cell& cell : all.all) list.push_back(cell.name);
  return list;
}

std::string message(const std::string& sweep, const std::vector<std::string>& overrides = {}) {
  try {
    static_cast<void>(cells(sweep, overrides));
  } catch (const granule::Error& error) {
    CHECK(error.code() == granule::ExitCode::user);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("cells: a grid has every combination, in the order of the file, and all of one seed come first") {
  const Cells all =
      cells("[sweep]\nmoe.n_routed_experts = [8, 16]\n\"moe.aux_loss_alpha\" = [0, 1e-2]\nseeds = [3, 4]\n");
  CHECK(names(all) ==
        std::vector<std::string>{
            "n_routed_experts-8,aux_loss_alpha-0,seed-3", "n_routed_experts-8,aux_loss_alpha-0.01,seed-3",
            "n_routed_experts-16,aux_loss_alpha-0,seed-3", "n_routed_experts-16,aux_loss_alpha-0.01,seed-3",
            "n_routed_experts-8,aux_loss_alpha-0,seed-4", "n_routed_experts-8,aux_loss_alpha-0.01,seed-4",
            "n_routed_experts-16,aux_loss_alpha-0,seed-4", "n_routed_experts-16,aux_loss_alpha-0.01,seed-4"});
  const Cell& last = all.all.back();
  CHECK(last.config.moe.n_routed_experts == 16);
  CHECK(last.config.moe.aux_loss_alpha == 0.01);
  CHECK(last.config.train.seed == 4);
  CHECK(last.config.data.seed == 4);
  CHECK(last.variant == "n_routed_experts-16,aux_loss_alpha-0.01");
  CHECK(last.steps == 10);
}

TEST_CASE("cells: a zip takes values of the same place together, and may name them") {
  const Cells all = cells(
      "[sweep]\nmode = \"zip\"\nnames = [\"Dense\", \"Top 1/8\"]\nmoe.n_routed_experts = [0, 8]\n"
      "moe.num_experts_per_tok = [0, 1]\n");
  CHECK(names(all) == std::vector<std::string>{"Dense", "Top_1_8"});
  CHECK(all.all[1].label == "Top 1/8");
  CHECK(all.all[0].config.moe.n_routed_experts == 0);
  CHECK(all.all[1].config.moe.num_experts_per_tok == 1);
  CHECK_FALSE(all.all[0].seed.has_value());
}

TEST_CASE("cells: segmentation makes the paper's ladder of equal parameters") {
  const Cells all = cells(
      "[sweep]\nmode = \"zip\"\nmoe.n_shared_experts = [0, 1, 1, 1]\nmoe.n_routed_experts = [16, 15, 15, "
      "15]\n"
      "moe.num_experts_per_tok = [2, 1, 1, 1]\nmoe.segmentation = [1, 1, 2, 4]\n");
  const std::vector<std::array<std::int64_t, 4>> expected{
      {0, 2, 16, 48}, {1, 1, 15, 48}, {1, 3, 31, 24}, {1, 7, 63, 12}};
  std::vector<std::int64_t> totals, activated;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const granule::MoeConfig& moe = all.all[i].config.moe;
    INFO(all.all[i].name);
    CHECK(std::array{moe.n_shared_experts, moe.num_experts_per_tok, moe.n_routed_experts,
                     moe.moe_intermediate_size} == expected[i]);
    const auto counts = count_parameters(all.all[i].config.model, moe);
    totals.push_back(counts.total() - counts.router);
    activated.push_back(counts.activated() - counts.router);
  }
  CHECK(totals == std::vector<std::int64_t>(4, totals[0]));
  CHECK(activated == std::vector<std::int64_t>(4, activated[0]));
}

TEST_CASE("cells: a name never leaves the directory of the sweep") {
  const Cells all = cells("[sweep]\nmode = \"zip\"\nnames = [\"..\", \"../x\"]\noptim.lr = [1, 2]\n");
  CHECK(names(all) == std::vector<std::string>{"_.", "_._x"});
  const Cells words =
      cells("[sweep]\nmode = \"zip\"\nnames = [\"größer 1/2\", \"-rf\"]\noptim.lr = [1, 2]\n");
  CHECK(names(words) == std::vector<std::string>{"größer_1_2", "_rf"});
  CHECK(names(cells("[sweep]\nmoe.aux_loss_alpha = [0.0, 1.0, 0.25]\nmoe.hash_seed = [-1]\n")) ==
        std::vector<std::string>{"aux_loss_alpha-0,hash_seed--1", "aux_loss_alpha-1,hash_seed--1",
                                 "aux_loss_alpha-0.25,hash_seed--1"});
}

TEST_CASE("cells: solve finds a width where the config's own is not possible") {
  const Cells all = cells(
      "[sweep]\nmodel.num_attention_heads = [2, 3]\nsolve = \"total_params\"\nsolve_key = "
      "\"model.hidden_size\"\n",
      {"model.hidden_size=2000", "model.vocab_size=2000"});
  CHECK(all.all[0].solution->width == 2000);
  CHECK(all.all[1].solution->width % 6 == 0);
  CHECK(std::abs(all.all[1].solution->residual) <= granule::kClosest);
}

TEST_CASE("cells: solve gives every cell the budget of the config") {
  const Cells all = cells(
      "[sweep]\nmoe.n_routed_experts = [8, 16, 32]\nsolve = \"total_params\"\nsolve_key = "
      "\"moe.moe_intermediate_size\"\n",
      {"moe.moe_intermediate_size=480"});
  CHECK(all.target ==
        static_cast<double>(count_parameters(all.all[0].config.model, all.all[0].config.moe).total()));
  for (const Cell& cell : all.all) {
    const auto total = static_cast<double>(count_parameters(cell.config.model, cell.config.moe).total());
    REQUIRE(cell.solution.has_value());
    CHECK(cell.solution->amount == total);
    CHECK(std::abs(total / all.target - 1.0) <= granule::kClosest);
    CHECK(cell.config.moe.moe_intermediate_size == cell.solution->width);
  }
  CHECK(all.all[0].solution->width == 480);
  CHECK(all.all[1].solution->width < 480);
}

TEST_CASE("cells: what is wrong with a sweep is said with its place") {
  const auto has = [](const std::string& text) { return Contains(text); };
  CHECK_THAT(message(""), has("has no [sweep] table"));
  CHECK_THAT(message("[sweep]\n"), has("[sweep] is empty") && has("sweep.toml:13"));
  CHECK_THAT(message("[sweep]\nmoe.top_k = [1]\n"),
             has("unknown key 'moe.top_k'") && has("num_experts_per_tok"));
  CHECK_THAT(message("[sweep]\nmoe.aux_loss_alpha = 0.1\n"), has("is not a list of values"));
  CHECK_THAT(message("[sweep]\nmoe.aux_loss_alpha = []\n"), has("is not a list of values"));
  CHECK_THAT(message("[sweep]\nmoe.aux_loss_alpha = [0, \"x\"]\n"),
             has("is not a number") && has("sweep.toml:14"));
  CHECK_THAT(message("[sweep]\nmoe.aux_loss_alpha = [0.1, 0.1]\n"), has("lists 0.1 twice"));
  CHECK_THAT(message("[sweep]\nseeds = [1, 1]\n"), has("without repeats"));
  CHECK_THAT(message("[sweep]\nsedes = [1]\n"), has("did you mean 'seeds'?"));
  CHECK_THAT(message("[sweep]\nseeds = [1]\n", {"train.seed=3"}), has("[sweep] has seeds"));
  CHECK_THAT(message("[sweep]\nseeds = [-1]\n"), has("out of range"));
  CHECK_THAT(message("[sweep]\nseeds = [1]\ntrain.seed = [1, 2]\n"), has("listed beside seeds"));
  CHECK_THAT(message("[sweep]\nmode = \"both\"\n"), has("one of \"grid\", \"zip\""));
  CHECK_THAT(message("[sweep]\nmode = \"zip\"\noptim.lr = [1, 2]\nmoe.z_loss_alpha = [0]\n"),
             has("optim.lr has 2 values and moe.z_loss_alpha has 1"));
  CHECK_THAT(message("[sweep]\nmode = \"zip\"\nseeds = [0]\n"), has("nothing to zip"));
  CHECK_THAT(message("[sweep]\nmoe.seq_aux = [true]\n\"moe.seq_aux\" = [false]\n"),
             has("lists moe.seq_aux twice"));
  CHECK_THAT(message("[sweep]\nnames = [\"a\"]\noptim.lr = [1]\n"), has("its mode is grid"));
  CHECK_THAT(message("[sweep]\nmode = \"zip\"\nnames = [\"a\"]\noptim.lr = [1, 2]\n"),
             has("combines values 2 times, and names has 1"));
  CHECK_THAT(message("[sweep]\noptim.lr = [1]\nsolve = \"flops\"\n"), has("no width to choose"));
  CHECK_THAT(message("[sweep]\noptim.lr = [1]\nsolve_key = \"model.hidden_size\"\n"),
             has("without sweep.solve"));
  CHECK_THAT(message("[sweep]\noptim.lr = [1]\nsolve = \"flops\"\nsolve_key = \"optim.lr\"\n"),
             has("one of"));
  CHECK_THAT(
      message("[sweep]\nmodel.hidden_size = [32]\nsolve = \"flops\"\nsolve_key = \"model.hidden_size\"\n"),
      has("both listed and solve_key"));
  CHECK_THAT(message("[sweep]\noptim.lr = [1]\n", {"optim.lr=2"}), has("[sweep] lists values of it"));
  CHECK_THAT(message("[sweep]\nmoe.segmentation = [5]\n"), has("cannot be split in 5"));
  CHECK_THAT(message("[sweep]\nmoe.segmentation = [2]\n", {"moe.n_routed_experts=0"}), has("dense model"));
  CHECK_THAT(message("[sweep]\nmodel.vocab_size = [200000]\nsolve = \"total_params\"\nsolve_key = "
                     "\"moe.moe_intermediate_size\"\n"),
             has("differs by"));
  CHECK_THAT(message("[sweep]\noptim.lr = [1, 2]\nseeds = [" +
                     [] {
                       std::string list = "0";
                       for (int i = 1; i < 5001; ++i) list += ", " + std::to_string(i);
                       return list;
                     }() +
                     "]\n"),
             has("more than 10000 runs"));
}

TEST_CASE("cells: overrides reach every cell, and may replace lists") {
  const Cells all = cells("[sweep]\nmoe.aux_loss_alpha = [0, 1e-2]\n",
                          {"optim.lr=0.5", "sweep.moe.aux_loss_alpha=[0.25]", "sweep.seeds=[9]"});
  CHECK(names(all) == std::vector<std::string>{"aux_loss_alpha-0.25,seed-9"});
  CHECK(all.all[0].config.optim.lr == 0.5);
}

TEST_CASE("cells: the sweeps of configs/ablations are the paper's") {
  const auto of = [](const char* name) {
    const std::filesystem::path file =
        std::filesystem::path(granule::test::source_dir()) / "configs/ablations" / name;
    return cells_of(granule::read_sweep(file, {}), 1, [](const RunConfig&) {
      return granule::DataFacts{4096, 9000};
    });
  };
  CHECK(of("alpha.toml").all.size() == 6);
  const Cells figure3 = of("figure3.toml");
  CHECK(figure3.all.size() == 12);
  CHECK(figure3.all[3].config.moe.n_routed_experts == 63);
  const Cells table1 = of("table1.toml");
  CHECK(table1.all.size() == 18);
  const auto counts = [&](std::size_t i) {
    return count_parameters(table1.all[i].config.model, table1.all[i].config.moe);
  };
  CHECK(counts(0).total() == counts(0).activated());
  CHECK(counts(1).total() + counts(2).router == counts(2).total());  // Hash, Switch
  CHECK(counts(3).activated() - counts(3).router ==
        counts(5).activated() - counts(5).router);  // GShard, DeepSeekMoE
  CHECK(counts(3).total() - counts(3).router == counts(5).total() - counts(5).router);
  const Cells shared = of("shared.toml");
  CHECK(shared.all.size() == 9);
  for (const Cell& cell : shared.all) {
    const granule::MoeConfig& moe = cell.config.moe;
    CHECK(moe.n_shared_experts + moe.n_routed_experts == 64);
    CHECK(moe.n_shared_experts + moe.num_experts_per_tok == 8);
    CHECK(moe.moe_intermediate_size == 128);
  }
  // GShard, ×1.2, ×1.5, Dense×4, Dense×16, DeepSeekMoE: total and activated networks of width 512 a layer.
  const Cells table2 = of("table2.toml");
  const std::vector<std::array<double, 2>> networks{{16, 2}, {19.2, 2.4}, {24, 3}, {4, 4}, {16, 16}, {16, 2}};
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const auto of_cell = count_parameters(table2.all[i].config.model, table2.all[i].config.moe);
    const double network = 3.0 * 192 * 512 * 3;
    INFO(table2.all[i].name);
    CHECK(static_cast<double>(of_cell.dense_ffn + of_cell.shared_experts + of_cell.routed_experts) /
              network ==
          Approx(networks[i][0]).epsilon(1e-3));  // 614 is 1.2 · 512 but for rounding
    CHECK(static_cast<double>(of_cell.dense_ffn + of_cell.shared_experts + of_cell.routed_activated) /
              network ==
          Approx(networks[i][1]).epsilon(1e-3));
  }
}
