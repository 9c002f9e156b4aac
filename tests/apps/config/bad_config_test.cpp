// Every kind of mistake in a config. The message names the key and the place, and the exit code is 2.
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

#include "apps/config/run_config.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

using Catch::Contains;
using granule::test::TempDir;

namespace {

// A correct config, in which a row replaces or adds lines.
constexpr std::string_view kModel =
    "[model]\nhidden_size = 32\nnum_hidden_layers = 2\nnum_attention_heads = 4\nintermediate_size = 48\n";
constexpr std::string_view kMoe =
    "[moe]\nn_routed_experts = 8\nnum_experts_per_tok = 2\nmoe_intermediate_size = 16\nfirst_k_dense_replace "
    "= 1\n";

struct BadConfig {
  std::string name;
  std::string text;      // the file
  std::string override;  // empty if none
  std::vector<std::string> message;
};

std::string sound() {
  return std::string(kModel) + std::string(kMoe);
}

BadConfig in_file(std::string text, std::vector<std::string> message) {
  std::string name = text;
  return {std::move(name), sound() + text, "", std::move(message)};
}

BadConfig on_line(std::string override, std::vector<std::string> message) {
  std::string name = override;
  return {std::move(name), sound(), std::move(override), std::move(message)};
}

// The message of the user error that this config causes. Empty if it is accepted.
std::string message_for(const std::filesystem::path& file, const std::string& override) {
  std::vector<std::string> overrides;
  if (!override.empty()) overrides.push_back(override);
  try {
    static_cast<void>(granule::load_run_config(file, overrides));
  } catch (const granule::Error& error) {
    CHECK(error.code() == granule::ExitCode::user);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return {};
}

void check_rows(const std::vector<BadConfig>& rows) {
  for (const BadConfig& row : rows) {
    INFO(row.name);
    const TempDir directory;
    std::ofstream(directory / "run.toml", std::ios::binary) << row.text;
    const std::string message = message_for(directory / "run.toml", row.override);
    for (const std::string& fragment : row.message) CHECK_THAT(message, Contains(fragment));
  }
}

}  // namespace

TEST_CASE("bad_config: the config that the bad ones are made from is sound") {
  const TempDir directory;
  std::ofstream(directory / "run.toml") << sound();
  CHECK(message_for(directory / "run.toml", "").empty());
}

TEST_CASE("bad_config: mistyped keys are refused with the nearest valid one") {
  check_rows({
      in_file("n_routed_expert = 8\n",
              {"unknown key 'moe.n_routed_expert'", "run.toml:11", "'moe.n_routed_experts'"}),
      in_file("[optim]\nlearning_rate = 1\n",
              {"unknown key 'optim.learning_rate'", "run.toml:12", "did you mean 'optim.lr'?"}),
      on_line("learning_rate=1", {"the key 'learning_rate' names no table", "did you mean 'optim.lr'?"}),
      in_file("[train]\nlr = 1\n", {"unknown key 'train.lr'", "'optim.lr'"}),
      in_file("[optimizer]\nlr = 1\n", {"unknown key 'optimizer.lr'", "'optim.lr'"}),
      in_file("[moe.experts]\nn = 1\n", {"unknown key 'moe.experts'"}),
      in_file("[nothing]\n", {"unknown key 'nothing'", "run.toml:11"}),
      {"a key outside of a table",
       "steps = 3\n" + sound(),
       "",
       {"unknown key 'steps'", "run.toml:1", "'train.steps'"}},
      {"a table given as a value",
       "train = 3\n" + sound(),
       "",
       {"train = 3 is not a table, [train]", "run.toml:1"}},
      {"a table given as a list of tables",
       sound() + "[[train]]\nsteps = 3\n",
       "",
       {"is not a table, [train]"}},
      in_file("[data]\nMix = 1\n", {"unknown key 'data.Mix'", "'data.mix'"}),
      on_line("moe.n_expert=3", {"unknown key 'moe.n_expert'", "command line, moe.n_expert=3"}),
      in_file("\"line\\nend\" = 1\n", {"unknown key", "line\\nend", "run.toml:11"}),
      in_file(std::string(7'000, 'k') + " = 1\n", {"unknown key 'moe.kkk", "kkk...'"}),
      on_line("trian.steps=3", {"unknown key 'trian.steps'", "'train.steps'"}),
  });
}

TEST_CASE("bad_config: values of the wrong type or out of range are refused with what is right") {
  check_rows({
      in_file("[optim]\nlr = \"fast\"\n", {"optim.lr = \"fast\" is not a number", "run.toml:12"}),
      in_file("[optim]\nlr = -1e-3\n", {"optim.lr = -0.001 is out of range", "at least 0"}),
      in_file("[optim]\nlr = nan\n", {"optim.lr = nan is not a finite number"}),
      in_file("[optim]\nlr = inf\n", {"optim.lr = inf is not a finite number"}),
      in_file("[optim]\nlr = 1e400\n", {"run.toml:12"}),
      in_file("[optim]\neps = 0\n", {"optim.eps = 0 is out of range", "more than 0"}),
      in_file("[optim]\nbetas = [0.9, 1.0]\n", {"optim.betas = 1.0 is out of range", "less than 1"}),
      in_file("[optim]\nbetas = [0.9]\n", {"optim.betas", "two numbers"}),
      in_file("[optim]\nbetas = 0.9\n", {"optim.betas", "two numbers"}),
      in_file("[optim]\ndecay_norms = 1\n", {"optim.decay_norms = 1 is not true or false"}),
      in_file("[optim]\nname = \"sgd\"\n", {"optim.name = \"sgd\"", "\"adamw\""}),
      in_file("[train]\nbatch_size = 2.0\n", {"train.batch_size = 2.0 is not an integer"}),
      in_file("[train]\nbatch_size = 0\n", {"train.batch_size = 0 is out of range", "at least 1"}),
      in_file("[train]\nbatch_size = 18446744073709551616\n", {"run.toml:12"}),
      in_file("[train]\nbatch_size = 99999999999\n", {"out of range", "at most 1000000000"}),
      in_file("[train]\nseed = -1\n", {"train.seed = -1 is out of range"}),
      in_file("[train]\nrecompute = \"half\"\n",
              {"train.recompute = \"half\"", "one of \"none\", \"moe\", \"full\""}),
      in_file("[train]\nmax_skips = -1\n", {"train.max_skips = -1 is out of range", "at least 0"}),
      in_file("[train]\nmax_skips = 2.5\n", {"train.max_skips = 2.5 is not an integer"}),
      in_file("[train]\nspike_sigma = -6\n", {"train.spike_sigma = -6 is out of range", "at least 0"}),
      in_file("[train]\nspike_sigma = nan\n", {"train.spike_sigma = nan is not a finite number"}),
      in_file("[train]\nspike_sigma = \"6\"\n", {"train.spike_sigma = \"6\" is not a number"}),
      in_file("[train]\ndtype = \"f16\"\n", {"train.dtype = \"f16\"", "one of \"f32\", \"bf16\", \"f64\""}),
      in_file("[train]\ndevice = \"gpu\"\n", {"train.device = \"gpu\"", "\"cpu\""}),
      in_file("[train]\nsteps = -5\n", {"train.steps = -5 is out of range", "more than 0"}),
      in_file("[train]\ndtype = \"float32\"\n", {"train.dtype = \"float32\" is not one of", "write \"f32\""}),
      in_file("[train]\nsteps = \"20 Mt\"\n", {"is not a period", "write \"20Mt\", without a space"}),
      in_file("[schedule]\nwarmup = \"10%\"\n", {"is not a period", "as a fraction: 0.1"}),
      in_file("[train]\nsteps = 0\n", {"train.steps = 0 is out of range", "more than 0"}),
      in_file("[train]\nsteps = -5\n", {"train.steps = -5 is out of range"}),
      in_file("[train]\nsteps = 0.5\n", {"train.steps is a fraction of the run it defines", "run.toml:12"}),
      in_file("[train]\nsteps = 500.0\n",
              {"train.steps = 500.0 is out of range", "without a point or exponent: 500"}),
      in_file("[train]\nsteps = \"5 minutes\"\n", {"train.steps", "is not a period", "give 500 (steps)"}),
      in_file("[log]\ntensorboard = \"yes\"\n", {"log.tensorboard = \"yes\" is not true or false"}),
      in_file("[log]\nprofile = 1\n", {"log.profile = 1 is not true or false"}),
      in_file("[log]\nevery = 0\n", {"log.every = 0 is out of range"}),
      in_file("[data]\ndocument_mask = \"yes\"\n", {"data.document_mask = \"yes\" is not true or false"}),
      in_file("[data]\npath = 3\n", {"data.path = 3 is not a text in quotes"}),
      in_file("[data]\npath = \"a\\u0000b\"\n", {"data.path", "NUL"}),
      in_file("[data]\npath = 2024-01-01\n", {"a date stands where no key takes one", "run.toml:12"}),
      in_file("[schedule]\nkind = \"linear\"\n", {"schedule.kind = \"linear\"", "\"cosine\""}),
      in_file("[schedule]\ndecay_at = [0.9, 0.8]\n", {"schedule.decay_at", "ascending"}),
      in_file("[schedule]\ndecay_at = []\n", {"schedule.decay_at is empty", "run.toml:12"}),
      in_file("[schedule]\ndecay_by = 1.5\n", {"schedule.decay_by = 1.5 is out of range", "at most 1"}),
      on_line("optim.lr=", {"an override has no value"}),
      on_line("data.shuffle=True", {"is not true or false", "write true"}),
      on_line("data.shuffle=no", {"is not true or false", "write false"}),
      on_line("model.hidden_size=50", {"model.hidden_size = 50", "(command line, model.hidden_size=50)"}),
      on_line("=3", {"an override has no key"}),
      on_line("train", {"an argument is no override", "key=value"}),
      on_line("steps=3", {"the key 'steps' names no table"}),
      on_line("optim.betas=[0.9", {"the value is not TOML", "command line, optim.betas=[0.9"}),
      on_line("optim.lr=fast", {"optim.lr = \"fast\" is not a number", "command line, optim.lr=fast"}),
      on_line("data.path=a\xff"
              "b",
              {"data.path", "a config holds UTF-8", "rename"}),
      on_line("optim.lr={a" + std::string(60'000, '.') + "}", {"more than 2000 dots"}),
      on_line("optim.lr=" + std::string(60'000, '['), {"not TOML"}),
      on_line("train.steps=3\noptim.lr=1", {"an argument is no override"}),
  });
}

TEST_CASE("bad_config: rope scaling that is none is refused with what is right") {
  check_rows({
      on_line("model.rope_scaling=linear", {"model.rope_scaling = \"linear\" is not \"none\" or {type = "}),
      on_line("model.rope_scaling={type=\"yarn\", factor=2}",
              {"model.rope_scaling.type = \"yarn\" is not one of \"linear\", \"dynamic\""}),
      on_line("model.rope_scaling={type=\"linear\"}", {"model.rope_scaling.factor is missing"}),
      on_line("model.rope_scaling={factor=2}", {"model.rope_scaling.type is missing"}),
      on_line("model.rope_scaling={type=\"linear\", factor=1}",
              {"factor = 1 is out of range", "more than 1"}),
      on_line("model.rope_scaling={type=\"linear\", factor=\"2\"}", {"factor = \"2\" is not a number"}),
      on_line("model.rope_scaling={type=\"linear\", factor=2, beta=1}",
              {"unknown key 'model.rope_scaling.beta'"}),
      on_line("model.rope_scaling={type=\"linear\", rope_type=\"dynamic\", factor=2}",
              {"model.rope_scaling has two types, \"linear\" and \"dynamic\""}),
      in_file(
          "[data]\nseq_len = 8193\n[model.rope_scaling]\ntype = \"linear\"\nfactor = 2\n",
          {"data.seq_len = 8193 exceeds model.max_position_embeddings × model.rope_scaling.factor = 8192"}),
      {"heads of two columns",
       "[model]\nhidden_size = 8\nnum_hidden_layers = 2\nnum_attention_heads = 4\nintermediate_size = 48\n",
       "model.rope_scaling={type=\"dynamic\", factor=2}",
       {"dynamic rope scaling of heads that are 2 wide"}},
  });
}

TEST_CASE("bad_config: a number written another way is told as it is to be written") {
  check_rows({
      on_line("train.steps=1e3",
              {"train.steps = 1000.0 is out of range", "without a point or exponent: 1000"}),
      on_line("train.steps=1k", {"train.steps = \"1k\" is not a period", "steps are written 1000"}),
      on_line("train.batch_size=1e2", {"train.batch_size = 100.0 is not an integer", "write 100"}),
      on_line("train.batch_size=2k", {"is not an integer", "write 2000"}),
      on_line("train.batch_size=1,024", {"is not an integer", "write 1024"}),
      on_line("train.batch_size=fast", {"is not an integer", "correct the value"}),
  });
}

TEST_CASE("bad_config: a value that an override replaces is not judged") {
  const TempDir directory;
  std::ofstream(directory / "run.toml") << sound() << "[train]\ndevice = \"cuda\"\n";
  CHECK_THAT(message_for(directory / "run.toml", ""), Contains("train.device"));
  CHECK(message_for(directory / "run.toml", "train.device=cpu").empty());
}

TEST_CASE("bad_config: a mix that is none is refused with the source that is wrong") {
  const auto mix = [](const std::string& list, std::vector<std::string> message) {
    message.emplace_back("run.toml:12");
    return in_file("[data]\nmix = " + list + "\n", std::move(message));
  };
  const std::string sound_mix = "mix = [{path = \"a\", weight = 1}, {path = \"b\", weight = 2}]\n";
  check_rows({
      mix("\"a\"", {"data.mix = \"a\" is not a list, [{path = …, weight = …}, …]"}),
      mix("[\"a\"]", {"data.mix[0] = \"a\" is not a table, {path = …, weight = …}"}),
      mix("[{path = \"a\", weight = 1}, {path = \"b\"}]", {"data.mix[1].weight is missing"}),
      mix("[{weight = 1}]", {"data.mix[0].path is missing"}),
      mix("[{path = \"a\", weigth = 1}]", {"unknown key 'data.mix[0].weigth'", "path = …, weight = …"}),
      mix("[{path = 3, weight = 1}]", {"data.mix[0].path = 3 is not a text"}),
      mix("[{path = \"\", weight = 1}]", {"data.mix[0].path = \"\" is not the path of a directory"}),
      mix("[{path = \"a\", weight = \"1\"}]", {"data.mix[0].weight = \"1\" is not a number"}),
      mix("[{path = \"a\", weight = 0}]", {"data.mix[0].weight = 0 is out of range", "more than 0"}),
      mix("[{path = \"a\", weight = -1}]", {"data.mix[0].weight = -1 is out of range"}),
      mix("[{path = \"a\", weight = nan}]", {"data.mix[0].weight = nan is not a finite number"}),
      mix("[{path = \"a\", weight = 1}, {path = \"./a\", weight = 1}]", {"/a is listed twice in data.mix"}),
      mix("[{path = \"a\", weight = 1}, {path = \"b\", weight = 1e-7}]",
          {"data.mix gives ", "/b a weight of 1e-07 of 1.0000001", "millionth"}),
      in_file("[data]\npath = \"a\"\n" + sound_mix, {"data.path and data.mix are both given", "run.toml:13"}),
      in_file(
          "[data]\n" + sound_mix + "[train]\nsteps = \"2e\"\n",
          {"train.steps is given in epochs, and the sources of data.mix have none in common", "run.toml:14"}),
      in_file("[data]\n" + sound_mix + "[schedule]\ndecay_at = [\"1e\", \"2e\"]\n",
              {"schedule.decay_at is given in epochs", "run.toml:14"}),
      in_file("[data]\n" + sound_mix + "[eval]\nevery = \"1e\"\n", {"eval.every is given in epochs"}),
      in_file("[data]\n" + sound_mix + "[checkpoint]\nevery = \"1e\"\n",
              {"checkpoint.every is given in epochs"}),
  });
}

TEST_CASE("bad_config: keys that contradict each other are refused with both values") {
  const auto model = [](std::string text, std::vector<std::string> message) {
    std::string name = text;
    return BadConfig{std::move(name), "[model]\nnum_hidden_layers = 2\nintermediate_size = 48\n" + text, "",
                     std::move(message)};
  };
  const auto moe = [](std::string text, std::vector<std::string> message) {
    std::string name = text;
    return BadConfig{std::move(name), std::string(kModel) + "[moe]\n" + text, "", std::move(message)};
  };
  const auto mixture = [](std::string text, std::vector<std::string> message) {
    std::string name = text;
    return BadConfig{
        std::move(name),
        std::string(kModel) +
            "[moe]\nn_routed_experts = 8\nnum_experts_per_tok = 2\nmoe_intermediate_size = 16\n" + text +
            "\n",
        "", std::move(message)};
  };
  check_rows({
      {"an empty file", "", "", {"model.hidden_size is missing", "run.toml", "set hidden_size in [model]"}},
      {"no feed-forward",
       "[model]\nhidden_size = 32\nnum_hidden_layers = 2\nnum_attention_heads = 4\n",
       "",
       {"model.intermediate_size is missing"}},
      model("hidden_size = 30\nnum_attention_heads = 4\n",
            {"model.hidden_size = 30", "num_attention_heads = 4 heads"}),
      model("hidden_size = 12\nnum_attention_heads = 4\n", {"the heads are 3 wide", "even"}),
      model("hidden_size = 32\nnum_attention_heads = 4\nnum_key_value_heads = 3\n",
            {"num_key_value_heads = 3"}),
      model("hidden_size = 32\nnum_attention_heads = 4\nnum_key_value_heads = 8\n",
            {"num_key_value_heads = 8"}),
      moe("n_routed_experts = 8\nmoe_intermediate_size = 16\n", {"moe.num_experts_per_tok is missing"}),
      moe("n_routed_experts = 8\nnum_experts_per_tok = 2\n", {"moe.moe_intermediate_size is missing"}),
      moe("n_routed_experts = 4\nnum_experts_per_tok = 5\nmoe_intermediate_size = 16\n",
          {"moe.num_experts_per_tok = 5 exceeds moe.n_routed_experts = 4", "run.toml:8"}),
      mixture("n_group = 3",
              {"moe.n_routed_experts = 8 does not divide into moe.n_group = 3", "run.toml:10"}),
      mixture("n_group = 2\ntopk_group = 4", {"moe.topk_group = 4 exceeds moe.n_group = 2"}),
      mixture("n_group = 8\ntopk_group = 1", {"num_experts_per_tok = 2", "leave 1 experts to choose from"}),
      mixture("device_groups = 5", {"does not divide into moe.device_groups = 5"}),
      mixture("device_loss_alpha = 0.05", {"no effect with one device group", "run.toml:10"}),
      mixture("hash_seed = 3", {"moe.hash_seed has no effect without moe.router"}),
      mixture("router = \"hash\"\naux_loss_alpha = 0.01",
              {"moe.aux_loss_alpha has no effect with moe.router"}),
      mixture("router = \"hash\"\nscoring_func = \"sigmoid\"", {"moe.scoring_func has no effect"}),
      mixture("router = \"hash\"\nnorm_topk_prob = true", {"moe.norm_topk_prob has no effect"}),
      mixture("router = \"hash\"\nbias_update_speed = 0.1", {"moe.bias_update_speed has no effect"}),
      mixture("router = \"hash\"\nz_loss_alpha = 0.1", {"moe.z_loss_alpha has no effect"}),
      mixture("router = \"hash\"\nn_group = 2", {"moe.n_group has no effect"}),
      mixture("router = \"hash\"\ndevice_groups = 2\ndevice_loss_alpha = 0.1",
              {"moe.device_loss_alpha has no effect"}),
      mixture("router = \"hash\"\ndevice_groups = 2", {"moe.device_groups has no effect"}),
      mixture("router = \"switch\"", {"moe.router = \"switch\"", "topk", "hash"}),
      mixture("scoring_func = \"relu\"", {"moe.scoring_func = \"relu\"", "softmax", "sigmoid"}),
      mixture("capacity_factor = -1.0", {"moe.capacity_factor = -1"}),
      mixture("routed_scaling_factor = 0.0", {"moe.routed_scaling_factor = 0"}),
      mixture("n_group = 0", {"moe.n_group = 0"}),
      mixture("bias_update_speed = -0.1", {"moe.bias_update_speed = -0.1"}),
      mixture("z_loss_alpha = inf", {"moe.z_loss_alpha"}),
      on_line("moe.first_k_dense_replace=2", {"none of the 2 layers is an MoE layer"}),
      {"more parameters than can be counted",
       std::string(kModel) +
           "[moe]\nn_routed_experts = 65535\nnum_experts_per_tok = 2\nmoe_intermediate_size = 1048576\n",
       "model.hidden_size=1048576",
       {"2^53"}},
      on_line("train.micro_batch_size=3", {"train.batch_size = 16", "micro_batch_size = 3", "1 rank"}),
      on_line("parallel.ep=0", {"parallel.ep = 0", "1"}),
      on_line("parallel.zero=4", {"parallel.zero = 4", "3"}),
      on_line("parallel.receive_limit=-1", {"parallel.receive_limit = -1"}),
      on_line("parallel.watchdog_seconds=1.5", {"parallel.watchdog_seconds"}),
      on_line("data.seq_len=5000", {"data.seq_len = 5000 exceeds model.max_position_embeddings = 4096"}),
      in_file("[schedule]\nkind = \"cosine\"\nmin_lr = 0.1\n", {"min_lr = 0.1 exceeds optim.lr = 0.0003"}),
      in_file("[schedule]\nmin_lr = 1e-5\n", {"schedule.min_lr has no effect"}),
      in_file("[schedule]\nkind = \"cosine\"\ndecay_at = 0.8\n",
              {"schedule.decay_at has no effect", "run.toml:13"}),
      in_file("[schedule]\nkind = \"wsd\"\ndecay_by = 0.5\n", {"schedule.decay_by has no effect"}),
      in_file("[schedule]\nkind = \"wsd\"\ndecay_at = [0.5, 0.8]\n", {"schedule.decay_at has 2 points"}),
  });
}

TEST_CASE(
    "bad_config: features that are not built yet are refused by name, their neutral values are accepted") {
  const std::vector<std::pair<std::string, std::string>> rows{
      {"model.hidden_act=gelu", "silu"},
      {"checkpoint.async=true", "false"},
  };
  const TempDir directory;
  std::ofstream(directory / "run.toml") << sound();
  for (const auto& [text, neutral] : rows) {
    INFO(text);
    const std::string key = text.substr(0, text.find('='));
    const std::string message = message_for(directory / "run.toml", text);
    CHECK_THAT(message,
               Contains(key + " = ") && Contains("is not built yet") && Contains("command line, " + text));
    CHECK(message_for(directory / "run.toml", key + "=" + neutral).empty());
  }
  CHECK_THAT(message_for(directory / "run.toml", "train.device=cuda"),
             Contains("train.device = \"cuda\": ") && Contains("CUDA plug-in") && Contains("use \"cpu\""));
  CHECK_THAT(message_for(directory / "run.toml", "sweep.moe.aux_loss_alpha=[0, 0.01]"),
             Contains("describes a sweep of many runs") && Contains("granule sweep"));
}

TEST_CASE("bad_config: text that is not TOML is refused with its line") {
  check_rows({
      {"no value", sound() + "[train]\nsteps =\n", "", {"run.toml:12"}},
      {"a key twice", sound() + "first_k_dense_replace = 2\n", "", {"run.toml:11", "first_k_dense_replace"}},
      {"a table twice", sound() + "[model]\n", "", {"run.toml:11", "model"}},
      {"a NUL byte", sound() + std::string("[train]\nsteps = 3\0\n", 19), "", {"run.toml:12"}},
      {"not UTF-8", sound() + "[data]\npath = \"\xff\xfe\"\n", "", {"run.toml:12"}},
      {"brackets a million deep", "a = " + std::string(500'000, '['), "", {"run.toml:1"}},
      {"dotted names very deep", "a" + std::string(20'000, '.') + " = 1\n", "", {"more than 2000 dots"}},
      {"a binary file",
       std::string("\x7f"
                   "ELF\x02\x01\x01\0\0\0",
                   10),
       "",
       {"run.toml:1"}},
      {"a line of 2 MB", "# " + std::string(2'000'000, 'x') + "\n", "", {"bytes", "at most 1 MiB"}},
  });
}

TEST_CASE("bad_config: names nested as deeply as is allowed neither overflow the stack nor pass") {
  std::string name = "a";
  for (int i = 0; i < 1'999; ++i) name += ".a";
  check_rows({{"thousands of names", name + " = 1\n", "", {"unknown key", "run.toml:1"}},
              {"thousands of tables", "[" + name + "]\n", "", {"unknown key"}}});
}

TEST_CASE("bad_config: what is no readable file is refused before anything waits for it") {
  const TempDir directory;
  CHECK_THAT(message_for(directory / "missing.toml", ""),
             Contains("no such config file") && Contains("missing.toml"));
  CHECK_THAT(message_for(directory.path(), ""), Contains("the config is a directory"));
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0600) == 0);
  CHECK_THAT(message_for(directory / "fifo", ""), Contains("no regular file"));
  CHECK_THAT(message_for("/dev/null", ""), Contains("no regular file"));
  if (geteuid() == 0) return;  // root can read everything
  std::ofstream(directory / "locked.toml") << sound();
  std::filesystem::permissions(directory / "locked.toml", std::filesystem::perms::none);
  CHECK_THAT(message_for(directory / "locked.toml", ""), Contains("cannot read the config"));
}

TEST_CASE("bad_config: a key given twice on the command line is refused") {
  const TempDir directory;
  std::ofstream(directory / "run.toml") << sound();
  const std::vector<std::string> overrides{"optim.lr=1", "train.seed=1", "optim.lr=2"};
  CHECK_THROWS_WITH(granule::load_run_config(directory / "run.toml", overrides),
                    Contains("optim.lr is given twice"));
}
