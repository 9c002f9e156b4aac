#ifdef GRANULE_WITH_SENTENCEPIECE  // it compiles with the other tests of exports
// Directories of Qwen2MoeForCausalLM, as granule writes them and as others do.
#include "apps/models/qwen2moe.hpp"

#include <functional>

#include <nlohmann/json.hpp>

#include "apps/exports/export_model.hpp"
#include "apps/models/model_files.hpp"
#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/made_model.hpp"
#include "tests/support/temp_dir.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A qwen2_moe directory, whose config and tensors a test changes.
class QwenDirectory {
 public:
  explicit QwenDirectory(const std::function<void(MadeModel&)>& change = {}) {
    MadeModel made = made_model();
    made.output_bias = false;
    if (change) change(made);
    write_model(temp_ / "model", made);
    (void)export_model({temp_ / "model", path, ExportFormat::qwen2moe, StoredType::f32, ReadBackCheck::no});
    config = json::parse(text_of(path / "config.json"));
  }

  /// Writes the tensors anew: of some type, in files of some size, with changed values.
  void rewrite(DType type, std::int64_t max_bytes,
               const std::function<void(const std::string&, std::vector<float>&)>& change = {}) {
    const HfDirectory read = HfDirectory::open(path);
    std::vector<std::vector<float>> values;
    std::vector<TensorToSave> tensors;
    for (const std::string& name : read.names()) {
      const auto view = *read.find(name);
      std::size_t size = 1;
      for (const std::int64_t extent : view.shape) size *= static_cast<std::size_t>(extent);
      std::vector<float>& of_tensor = values.emplace_back(size);
      read.read_into(name, view.shape, std::span(of_tensor));
      if (change) change(name, of_tensor);
      tensors.push_back(tensor_of_bytes({name, DType::f32, view.shape}, std::as_bytes(std::span(of_tensor))));
    }
    const json none;
    write_hf_directory(temp_ / "again", {config, none, tensors, type, max_bytes});
    path = temp_ / "again";
  }

  [[nodiscard]] ModelFiles open() const {
    write_text(path / "config.json", config.dump());
    return ModelFiles::open(path);
  }
  [[nodiscard]] std::string refusal() const {
    try {
      const ModelFiles files = open();
      require_model(files.config_base());
    } catch (const Error& error) {
      CHECK(error.code() == ExitCode::user);
      return error.what();
    }
    return "accepted";
  }

 private:
  TempDir temp_;

 public:
  fs::path path = temp_ / "qwen";
  json config;
};

std::vector<double> values_of(const ModelFiles& files, const std::string& name) {
  const auto view = files.tensors().find(name);
  REQUIRE(view.has_value());
  std::size_t size = 1;
  for (const std::int64_t extent : view->shape) size *= static_cast<std::size_t>(extent);
  std::vector<double> values(size);
  files.tensors().read_into(name, view->shape, std::span(values));
  return values;
}

}  // namespace

TEST_CASE("qwen2moe: two keys say which layers are MoE layers, or no two keys do") {
  const auto keys = [](const std::vector<std::int64_t>& layers, std::int64_t count) {
    const auto found = moe_layer_keys(layers, count);
    return found ? std::pair(found->first_k_dense_replace, found->moe_layer_freq)
                 : std::pair<std::int64_t, std::int64_t>(-1, -1);
  };
  CHECK(keys({0, 1, 2}, 3) == std::pair<std::int64_t, std::int64_t>(0, 1));
  CHECK(keys({2}, 3) == std::pair<std::int64_t, std::int64_t>(2, 1));
  CHECK(keys({0, 2, 4}, 5) == std::pair<std::int64_t, std::int64_t>(0, 2));
  CHECK(keys({2, 4}, 6) == std::pair<std::int64_t, std::int64_t>(1, 2));
  CHECK(keys({3, 6}, 8) == std::pair<std::int64_t, std::int64_t>(1, 3));
  CHECK(keys({1, 3}, 4).first == -1);
  CHECK(keys({0, 1}, 3).first == -1);
  CHECK(keys({}, 3).first == -1);
}

TEST_CASE("qwen2moe: the published keys are read, in shards of f32, bf16 and f16") {
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    QwenDirectory directory;
    directory.rewrite(type, 20'000);
    CHECK(!fs::exists(directory.path / "model.safetensors"));
    CHECK(fs::exists(directory.path / "model.safetensors.index.json"));
    // What the published config.json of Qwen1.5-MoE-A2.7B has besides.
    directory.config.update({{"max_window_layers", 21},
                             {"sliding_window", 32768},
                             {"use_sliding_window", false},
                             {"router_aux_loss_coef", 0.001},
                             {"attention_dropout", 0.0},
                             {"transformers_version", "4.39.0.dev0"}});
    for (const char* const key : {"qkv_bias", "mlp_only_layers"}) directory.config.erase(key);
    directory.config["mlp_only_layers"] = {0};
    const ModelFiles files = directory.open();
    CHECK(files.config().moe.n_routed_experts == 6);
    CHECK(files.config().moe.n_shared_experts == 2);
    CHECK(files.config().moe.first_k_dense_replace == 1);
    CHECK(files.config().moe.moe_layer_freq == 1);
    CHECK(files.config().model.attention_bias == false);
    CHECK(directory.refusal() == "accepted");
    const std::string ours = "model.layers.1.mlp.shared_experts.down_proj.weight";
    const ModelFiles model = ModelFiles::open(directory.path.parent_path() / "model");
    const std::vector<double> expected = values_of(model, ours), found = values_of(files, ours);
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(found[i] == Approx(expected[i]).epsilon(type == DType::f32 ? 0.0 : 0.01).margin(1e-9));
  }
}

TEST_CASE("qwen2moe: a gate that is not zero is refused by its name, as that of every published model") {
  QwenDirectory directory;
  directory.rewrite(DType::bf16, 1 << 30, [](const std::string& name, std::vector<float>& values) {
    if (name == "model.layers.2.mlp.shared_expert_gate.weight") values[5] = 0.01F;
  });
  CHECK_THAT(directory.refusal(), Contains("'model.layers.2.mlp.shared_expert_gate.weight' is not zero") &&
                                      Contains("model.safetensors") &&
                                      Contains("shared_expert_gate of zeros"));
}

TEST_CASE("qwen2moe: biases are read if they are set, and those of zero are left out") {
  QwenDirectory directory([](MadeModel& made) { made.model.attention_bias = true; });
  const ModelFiles files = directory.open();
  CHECK(files.config().model.attention_bias);
  CHECK(values_of(files, "model.layers.1.self_attn.o_proj.bias") == std::vector<double>(64, 0.0));
  CHECK(values_of(files, "model.layers.1.self_attn.q_proj.bias")[3] != 0.0);
  directory.config["qkv_bias"] = false;
  CHECK_THAT(directory.refusal(), Contains("qkv_bias = false, but tensor"));
}

TEST_CASE("qwen2moe: what this program does not compute is refused by its key") {
  struct Row {
    const char* key;
    json value;
    const char* message;
  };
  const Row rows[] = {{"use_sliding_window", true, "use_sliding_window = true is not supported"},
                      {"decoder_sparse_step", 0, "decoder_sparse_step = 0 is not supported"},
                      {"mlp_only_layers", json::array({2}), "mlp_only_layers = [2] is not supported"},
                      {"mlp_only_layers", "none", "mlp_only_layers = \"none\" is not supported"},
                      {"shared_expert_intermediate_size", 63, "shared_expert_intermediate_size = 63"},
                      {"hidden_act", "gelu", "hidden_act"},
                      {"num_experts", -1, "num_experts = -1 is not supported"},
                      {"num_hidden_layers", 1'000'000'000, "num_hidden_layers = 1000000000"},
                      {"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}, "yarn"}};
  for (const Row& row : rows) {
    QwenDirectory directory;
    directory.config[row.key] = row.value;
    INFO(row.key);
    CHECK_THAT(directory.refusal(), Contains(row.message));
  }
  QwenDirectory directory;
  directory.config["num_experts_per_tok"] = 1;
  CHECK(directory.refusal() == "accepted");
  directory.config["norm_topk_prob"] = true;
  CHECK_THAT(directory.refusal(), Contains("norm_topk_prob = true is not supported"));
}
#endif
