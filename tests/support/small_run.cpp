#include "tests/support/small_run.hpp"

#include <cstdlib>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_tokenizer.hpp"

namespace granule::test {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfig = R"(
[model]
hidden_size = 32
num_hidden_layers = 3
num_attention_heads = 4
num_key_value_heads = 2
intermediate_size = 48
max_position_embeddings = 64
initializer_range = 0.1
attention_bias = true
[moe]
n_routed_experts = 8
num_experts_per_tok = 3
n_shared_experts = 1
moe_intermediate_size = 12
first_k_dense_replace = 1
[data]
path = "data"
seq_len = 32
seed = 3                 # with this order the model says more than a full stop
[optim]
lr = 1e-2
[train]
steps = 20
batch_size = 8
micro_batch_size = 4
threads = 1
[checkpoint]
every = 10
keep = 0
[eval]
every = 20
batches = 0
)";

void must_run(const std::vector<std::string>& arguments) {
  const ProgramResult result = run_program(arguments);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

}  // namespace

SmallRun::SmallRun(const fs::path& directory)
    : texts(directory / "texts.txt"),
      tokenizer(directory / "tokenizer.model"),
      data(directory / "data"),
      config(directory / "run.toml"),
      run(directory / "run") {}

void SmallRun::make() const {
  write_text(texts, prose(2, 400));
  write_text(config, kConfig);
  fs::copy_file(small_tokenizer(), tokenizer);
  must_run({"data", "build", "--tokenizer", tokenizer, "--input", texts, "--out", data, "--split-lines",
            "--val-fraction", "0.1"});
  must_run({"train", config, "--out", run});
}

const SmallRun& small_run() {
  if (const char* made = std::getenv("GRANULE_SMALL_RUN")) {
    static const SmallRun shared{made};
    REQUIRE(fs::exists(shared.run));
    return shared;
  }
  static const TempDir directory;
  static const SmallRun own = [] {
    const SmallRun run(directory.path());
    run.make();
    return run;
  }();
  return own;
}

fs::path copy_of(const fs::path& tree, const TempDir& parent) {
  fs::path copy = parent / tree.filename();
  fs::copy(tree, copy, fs::copy_options::recursive);
  return copy;
}

void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string text = text_of(file);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  write_text(file, text.replace(at, from.size(), to));
}

void damage(const fs::path& file) {
  std::string text = text_of(file);
  text[text.size() / 2] = static_cast<char>(text[text.size() / 2] ^ 1);
  write_text(file, text);
}

}  // namespace granule::test
