#include "tests/support/workshop.hpp"

#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"

namespace granule::test {
namespace fs = std::filesystem;
namespace {

constexpr const char* kConfig = R"(
[model]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 24
max_position_embeddings = 32
initializer_range = 0.1
[moe]
n_routed_experts = 8
num_experts_per_tok = 2
n_shared_experts = 1
moe_intermediate_size = 8
first_k_dense_replace = 1
[data]
path = "data"
seq_len = 16
[optim]
lr = 1e-2
[schedule]
kind = "cosine"
warmup = 5
[train]
steps = 40
batch_size = 4
micro_batch_size = 2
[checkpoint]
every = 20
keep = 0
[eval]
every = 10
batches = 2
)";

}  // namespace

Workshop::Workshop() {
  fs::create_directory(directory / "data");
  write_shard(directory / "data/train-00000.h5", patterned_documents(12, 90, kVocabulary), kVocabulary);
  write_shard(directory / "data/val-00000.h5", patterned_documents(2, 90, kVocabulary), kVocabulary);
  write_text(directory / "run.toml", kConfig);
}

Workshop::Workshop(const std::vector<std::int32_t>& document) : Workshop() {
  fs::remove(directory / "data/train-00000.h5");
  write_shard(directory / "data/train-00000.h5", {document}, kVocabulary);
}

ProgramResult Workshop::train(const char* out, std::vector<std::string> more) const {
  std::vector<std::string> arguments{"train", path("run.toml"), "--out", path(out)};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

std::vector<nlohmann::json> Workshop::metrics(const char* run) const {
  std::ifstream file(directory / run / "metrics.jsonl");
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(file, line);) {
    rows.push_back(nlohmann::json::parse(line));
    for (const char* key : {"tokens_per_second", "step_seconds", "mfu", "peak_bytes", "seconds_by_phase"})
      rows.back().erase(key);
  }
  return rows;
}

fs::path Workshop::checkpoint(const char* run, std::int64_t step) const {
  return directory / run / "checkpoints" / fmt::format("step-{:08}", step);
}

std::string Workshop::tensors(const char* run, std::int64_t step) const {
  return text_of(checkpoint(run, step) / "model-00001-of-00001.safetensors") +
         text_of(checkpoint(run, step) / "optim-00001-of-00001.safetensors");
}

}  // namespace granule::test
