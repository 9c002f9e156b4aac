#include "apps/config/run_config.hpp"

#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "apps/config/run_config_keys.hpp"
#include "core/error.hpp"
#include "moe/model/counts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/temp_dir.hpp"

using Catch::Contains;
using granule::ConfigBase;
using granule::DataMix;
using granule::load_run_config;
using granule::Period;
using granule::RunConfig;
using granule::ScheduleKind;
using granule::test::source_dir;
using granule::test::TempDir;
using Words = std::vector<std::string>;

namespace {

const std::filesystem::path kConfigs = std::filesystem::path(source_dir()) / "configs";

constexpr std::string_view kMinimal = R"([model]
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 4
intermediate_size = 48
)";

std::filesystem::path written(const TempDir& directory, std::string_view text) {
  const auto path = directory / "run.toml";
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

RunConfig parsed(std::string_view text, const Words& overrides = {},
                 const granule::ConfigOptions& options = {}) {
  const TempDir directory;
  return load_run_config(written(directory, text), overrides, options);
}

// Every key has a value other than its default, so that a lost key shows.
RunConfig unusual_config() {
  const RunConfig config = parsed(R"([model]
vocab_size = 77
hidden_size = 32
num_hidden_layers = 5
num_attention_heads = 8
num_key_value_heads = 2
intermediate_size = 48
max_position_embeddings = 123
rms_norm_eps = 1e-5
rope_theta = 500000.0
rope_scaling = {type = "dynamic", factor = 2.5}
attention_bias = true
tie_word_embeddings = true
initializer_range = 0.013
[moe]
n_routed_experts = 6
num_experts_per_tok = 3
n_shared_experts = 1
moe_intermediate_size = 24
first_k_dense_replace = 1
moe_layer_freq = 2
scoring_func = "sigmoid"
norm_topk_prob = true
routed_scaling_factor = 2.5
n_group = 3
topk_group = 2
seq_aux = false
aux_loss_alpha = 0.0123
device_loss_alpha = 0.05
device_groups = 2
z_loss_alpha = 0.001
bias_update_speed = 0.002
capacity_factor = 1.25
[data]
path = "some \"odd\"\tname/\u00e9\u007f"
seq_len = 17
shuffle = false
seed = 9223372036854775807
document_mask = true
[optim]
lr = 0.1
betas = [0.8, 0.999]
eps = 1e-10
weight_decay = 0
decay_norms = true
grad_clip = 0.3
[schedule]
kind = "wsd"
warmup = "1.5Kt"
decay_at = "20Mt"
min_lr = 0.001
[train]
steps = "1.5e"
batch_size = 12
micro_batch_size = 3
seed = 7
recompute = "moe"
dtype = "f64"
threads = 3
max_skips = 11
spike_sigma = 5.5
[parallel]
ep = 3
zero = 2
offload = true
receive_limit = 1000
watchdog_seconds = 90
deterministic = true
[checkpoint]
every = 1.0
keep = 0
[eval]
every = "4096t"
batches = 0
[log]
every = 3
tensorboard = true
profile = true
)");
  return config;
}

}  // namespace

TEST_CASE("run_config: a config that names only the model's shape gets the documented defaults") {
  const RunConfig config = parsed(kMinimal);
  CHECK(config.model.num_key_value_heads == 4);
  CHECK(config.model.vocab_size == 0);
  CHECK(config.model.initializer_range == 0.006);
  CHECK(config.data.path.empty());
  CHECK(config.data.seq_len == 4096);
  CHECK(config.data.shuffle);
  CHECK(config.optim.betas == std::array{0.9, 0.95});
  CHECK(config.optim.eps == 1e-8);
  CHECK_FALSE(config.optim.decay_norms);
  CHECK(config.schedule.decay_at ==
        std::vector<Period>{{Period::Unit::fraction, 0.8}, {Period::Unit::fraction, 0.9}});
  CHECK(config.train.dtype == granule::DType::f32);
  CHECK(config.train.threads == 0);
}

TEST_CASE("run_config: a config written as TOML loads to the same config") {
  const RunConfig config = unusual_config();
  CHECK(config.data.path.filename() == "\u00e9\u007f");
  CHECK(parsed(to_toml(config)) == config);
  CHECK(parsed(to_toml(parsed(kMinimal))) == parsed(kMinimal));
}

TEST_CASE("run_config: a config written as JSON loads to the same config") {
  const RunConfig config = unusual_config();
  const auto text = to_json(config).dump();
  CHECK(granule::run_config_from_json(nlohmann::json::parse(text), "state.json") == config);
}

TEST_CASE(
    "run_config: a mix is read in either form of TOML, from the file's directory, and written so that it "
    "reads back") {
  const TempDir directory;
  const std::string inlined = "[data]\nmix = [{path = \"a\", weight = 3}, {path = \"/b\", weight = 0.5}]\n";
  const std::string listed =
      "[[data.mix]]\npath = \"a\"\nweight = 3\n[[data.mix]]\nweight = 0.5\npath = \"/b\"\n";
  const std::vector<DataMix::Part> expected{{directory / "a", 3.0}, {"/b", 0.5}};
  for (const std::string& text : {inlined, listed}) {
    const RunConfig config = load_run_config(written(directory, std::string(kMinimal) + text), {});
    CHECK(config.data.mix == expected);
    CHECK(config.data.sources() == expected);
    CHECK(parsed(to_toml(config)) == config);
    CHECK(granule::run_config_from_json(to_json(config), "state.json") == config);
  }
  const RunConfig config = parsed(kMinimal, {"data.mix=[{path=\"c\", weight=1}]", "data.path=\"\""});
  CHECK(config.data.mix == std::vector<DataMix::Part>{{std::filesystem::current_path() / "c", 1.0}});
  CHECK(parsed(kMinimal, {"data.path=/d"}).data.sources() == std::vector<DataMix::Part>{{"/d"}});
}

TEST_CASE("run_config: rope scaling is read under either name of its type, and as none") {
  const granule::RopeScaling linear{granule::RopeScaling::Type::linear, 4.0};
  for (const char* const text : {"{type=\"linear\", factor=4}", "{factor=4.0, rope_type=\"linear\"}",
                                 "{type=\"linear\", rope_type=\"linear\", factor=4}"}) {
    const RunConfig config =
        parsed(kMinimal, {fmt::format("model.rope_scaling={}", text), "data.seq_len=16384"});
    CHECK(config.model.rope_scaling == linear);
    CHECK(parsed(to_toml(config)) == config);
  }
  for (const char* const text : {"none", "{rope_type=\"default\"}"})
    CHECK(parsed(kMinimal, {fmt::format("model.rope_scaling={}", text)}) == parsed(kMinimal));
}

TEST_CASE("run_config: the unusual config differs from the default in every key it can") {
  const auto unusual = to_json(unusual_config());
  const auto usual = to_json(RunConfig{});
  for (const auto& key : granule::config_keys()) {
    const std::set<std::string_view> cannot{"optim.name",    "train.device", "schedule.decay_by",
                                            "moe.router",  // a hash router has no other router key
                                            "moe.hash_seed", "data.mix"};  // it has data.path
    if (cannot.contains(key.name)) continue;
    INFO(key.name);
    CHECK(unusual[std::string(key.table())][std::string(key.leaf())] !=
          usual[std::string(key.table())][std::string(key.leaf())]);
  }
}

TEST_CASE(
    "run_config: overrides win over the file, bare words are texts and relative paths start where the user "
    "is") {
  const RunConfig config = parsed(
      kMinimal, {"optim.lr=1e-2", "schedule.kind=cosine", "train.steps=20Mt", "optim.betas=[0.5, 0.75]",
                 "data.shuffle=false", "data.path=2024", "checkpoint.every = 7"});
  CHECK(config.optim.lr == 1e-2);
  CHECK(config.schedule.kind == ScheduleKind::cosine);
  CHECK(config.train.steps == Period{Period::Unit::tokens, 2e7});
  CHECK(config.optim.betas == std::array{0.5, 0.75});
  CHECK_FALSE(config.data.shuffle);
  CHECK(config.data.path == std::filesystem::current_path() / "2024");
  CHECK(config.checkpoint.every == Period{Period::Unit::steps, 7});
}

TEST_CASE("run_config: relative paths in a file start from the file") {
  const TempDir directory;
  const auto path = written(directory, std::string(kMinimal) + "[data]\npath = \"../books\"\n");
  const auto expected = (directory.path() / "../books").lexically_normal();
  CHECK(load_run_config(path, {}).data.path == expected);
  CHECK(parsed(kMinimal, {"data.path=/corpus/./a"}).data.path == "/corpus/a");
}

TEST_CASE("run_config: CRLF line ends and a byte order mark are read like any other file") {
  std::string text = "\xef\xbb\xbf";
  for (const char c : kMinimal) {
    if (c == '\n') text.push_back('\r');
    text.push_back(c);
  }
  CHECK(parsed(text) == parsed(kMinimal));
}

TEST_CASE("run_config: the paper's 16B config counts the published parameters and the paper's schedule") {
  const RunConfig config = load_run_config(kConfigs / "paper/deepseekmoe-16b.toml", {});
  const auto counts = granule::count_parameters(config.model, config.moe);
  CHECK(counts.total() == 16'375'728'128);
  CHECK(counts.activated() == 2'828'650'496);
  const auto steps = resolve_steps(config, 0);
  CHECK(steps.schedule.decay_at == std::vector<std::int64_t>{85159, 95804});
  CHECK(steps.schedule.total == 106449);
}

TEST_CASE("run_config: the bench config has the shape that speed is measured on") {
  const RunConfig config = load_run_config(kConfigs / "bench.toml", {});
  CHECK(config.data.seq_len * config.train.micro_batch_size == 2048);
  CHECK(config.model.head_dim() == 64);
  const auto counts = granule::count_parameters(config.model, config.moe);
  // By hand:
  //   2·8192·512 + 8·4·512² + 17·512 + 3·512·1408 + 7·(64·512 + 66·3·512·176)
  CHECK(counts.total() == 8'388'608 + 8'388'608 + 8'704 + 2'162'688 + 7 * (32'768 + 17'842'176));
}

TEST_CASE(
    "run_config: under a loaded model, keys that keep its shape override and others are refused with both "
    "values") {
  granule::ConfigOptions options;
  options.base = ConfigBase{unusual_config(), "hub/config.json"};
  const RunConfig config = parsed(
      "[moe]\nnum_experts_per_tok = 2\naux_loss_alpha = 0.5\n[model]\nhidden_size = 32\n", {}, options);
  CHECK(config.moe.num_experts_per_tok == 2);
  CHECK(config.moe.aux_loss_alpha == 0.5);
  CHECK(config.moe.n_routed_experts == 6);
  CHECK(config.model.rope_theta == 500000.0);
  CHECK_THROWS_WITH(
      parsed("[model]\nhidden_size = 64\n", {}, options),
      Contains("model.hidden_size = 64") && Contains("32 (hub/config.json)") && Contains("run.toml:2"));
  CHECK_THROWS_WITH(override_run_config(Words{"moe.n_routed_experts=8"}, options),
                    Contains("moe.n_routed_experts = 8") && Contains("command line") && Contains("has 6"));
  CHECK(override_run_config(Words{"moe.num_experts_per_tok=1"}, options).moe.num_experts_per_tok == 1);
}

TEST_CASE("run_config: only lengths, layout and output may differ on resume") {
  const RunConfig saved = unusual_config();
  RunConfig now = saved;
  now.train.steps = {Period::Unit::steps, 5};
  now.train.threads = 9;
  now.train.recompute = granule::Recompute::none;
  now.checkpoint.keep = 1;
  now.eval.batches = 3;
  now.log.every = {Period::Unit::steps, 100};
  now.model.vocab_size = 0;
  CHECK_NOTHROW(check_resumable(saved, now, "step-00000010"));
  now.optim.lr = 0.2;
  CHECK_THROWS_WITH(check_resumable(saved, now, "step-00000010"),
                    Contains("optim.lr = 0.2 now, but 0.1") && Contains("step-00000010"));
  now = saved;
  now.data.seed = 1;
  CHECK_THROWS_WITH(check_resumable(saved, now, "x"), Contains("data.seed"));
}

TEST_CASE("run_config: on resume the data may stand elsewhere, in the same mixture") {
  RunConfig saved = unusual_config();
  saved.data.path = "/old/books";
  saved.data.mix.clear();
  RunConfig now = saved;
  now.data.path = "/new/books";
  CHECK_NOTHROW(check_resumable(saved, now, "x"));
  now.data.path.clear();
  now.data.mix = {{"/new/books", 3.0}};  // a mix of one part is that source
  CHECK_NOTHROW(check_resumable(saved, now, "x"));
  now.data.mix = {{"/new/books", 3.0}, {"/new/code", 1.0}};
  CHECK_THROWS_WITH(check_resumable(saved, now, "x"), Contains("data.path") && Contains("number of sources"));
  saved.data.path.clear();
  saved.data.mix = {{"/old/books", 3.0}, {"/old/code", 1.0}};
  CHECK_NOTHROW(check_resumable(saved, now, "x"));
  now.data.mix[1].weight = 2.0;
  CHECK_THROWS_WITH(check_resumable(saved, now, "x"), Contains("data.mix") && Contains("not its weights"));
}

TEST_CASE(
    "run_config: on resume micro-batches may have another size where the objective does not count in them") {
  RunConfig saved = unusual_config();
  saved.moe.router = granule::RouterKind::topk;
  saved.moe.n_routed_experts = 8;
  saved.moe.seq_aux = true;
  saved.moe.aux_loss_alpha = 0.1;
  saved.moe.capacity_factor = 0.0;
  const auto check_smaller = [](RunConfig run) {
    RunConfig now = run;
    now.train.micro_batch_size = run.train.micro_batch_size + 1;
    check_resumable(run, now, "x");
  };
  CHECK_NOTHROW(check_smaller(saved));
  saved.moe.seq_aux = false;
  CHECK_THROWS_WITH(check_smaller(saved),
                    Contains("train.micro_batch_size") && Contains("moe.seq_aux = false"));
  saved.moe.aux_loss_alpha = 0.0;  // it depends on micro-batches but has no effect
  CHECK_NOTHROW(check_smaller(saved));
  saved.moe.capacity_factor = 1.5;
  CHECK_THROWS_WITH(check_smaller(saved), Contains("moe.capacity_factor = 1.5"));
  saved.moe.n_routed_experts = 0;
  CHECK_NOTHROW(check_smaller(saved));
}

TEST_CASE("run_config: every period of a run is resolved to steps") {
  RunConfig config = parsed(kMinimal, {"data.seq_len=64", "train.batch_size=8", "train.steps=2e",
                                       "schedule.warmup=1024t", "eval.every=0.1", "checkpoint.every=25"});
  const auto steps = resolve_steps(config, 400);  // 50 steps in an epoch, 512 tokens in a step
  CHECK(steps.total == 100);
  CHECK(steps.schedule.total == 100);
  CHECK(steps.schedule.warmup == 2);
  CHECK(steps.schedule.decay_at == std::vector<std::int64_t>{80, 90});
  CHECK(steps.eval_every == 10);
  CHECK(steps.checkpoint_every == 25);
  CHECK(steps.log_every == 1);
  CHECK_THROWS_WITH(resolve_steps(config, 0), Contains("train.steps") && Contains("epochs"));
}
