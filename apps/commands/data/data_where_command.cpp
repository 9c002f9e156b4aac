// granule data where: which documents a step of a run saw, from its config and the data alone.
#include <filesystem>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/commands/data/data_command.hpp"
#include "apps/console.hpp"
#include "apps/training/run_data.hpp"
#include "core/error.hpp"
#include "distributed/checkpoint.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The newest manifest of the run that can be read: its tensors are not wanted, and not looked at.
std::optional<CheckpointManifest> newest_manifest(const fs::path& run) {
  for (const StepDirectory& directory : list_checkpoints(run)) {
    try {
      return load_manifest(directory.path);
    } catch (const NewerCheckpoint&) {
      throw;
    } catch (const Error& damage) {
      say("granule: warning: passed over {}: {}", directory.path.string(), damage.what());
    }
  }
  return std::nullopt;
}

RunConfig config_of(const fs::path& run) {
  const fs::path file = run / "config.toml";
  if (!fs::is_regular_file(file)) {
    user_error("this is no run directory: there is no config.toml", run.string(),
               "give the --out of granule train");
  }
  return load_run_config(file, {});
}

/// Refuses a config or data that are not those which the run was saved with.
void require_unchanged(const fs::path& run, const RunConfig& config, const RunData& data) {
  const std::optional<CheckpointManifest> manifest = newest_manifest(run);
  if (!manifest) {
    say("granule: warning: {} has no checkpoint, so nothing tells whether the data has changed since",
        run.string());
    return;
  }
  check_resumable(run_config_from_json(manifest->sections.at("config"), run.string()), config, run.string());
  require_same_data(manifest->sections.at("data"), data, run.string());
}

Json or_null(const std::optional<std::int64_t>& value) {
  return value ? Json(*value) : Json();
}

Json document_of(const TokenSource& source, const DocumentPart& part) {
  const ShardReader& shard = source.shards()[part.shard];
  Json document{{"shard", shard.path().filename().string()},
                {"document", or_null(part.document)},
                {"tokens", {part.begin, part.end}},
                {"document_tokens", nullptr},
                {"document_bytes", nullptr}};
  if (!part.document) return document;
  document["document_tokens"] = {part.first, part.last};
  if (!shard.document_bytes().empty())
    document["document_bytes"] = shard.document_bytes()[static_cast<std::size_t>(*part.document)];
  return document;
}

Json sample_of(const RunConfig& config, const DataMix& train, MixSampler& sampler, std::int64_t position) {
  const std::int64_t seq_len = config.data.seq_len;
  const auto [source_index, index] = sampler.mixture().place(position);
  const SampleId id = sampler(position);
  const TokenSource& source = train.source(source_index);
  Json documents = Json::array();
  const std::int64_t begin = id.sample * seq_len;
  for (const DocumentPart& part : source.documents_in(begin, begin + seq_len + 1))
    documents.push_back(document_of(source, part));
  return {{"position", position},
          {"source", source.directory().string()},
          {"epoch", index / source.samples(seq_len)},
          {"sample", id.sample},
          {"documents", std::move(documents)}};
}

void where(const fs::path& run, std::int64_t step) {
  const RunConfig config = config_of(run);
  RunConfig training = config;
  training.eval.every = Period{};  // the validation split is not looked at
  const RunData data = open_run_data(training);
  const std::int64_t steps = resolve_steps(config, data.train.samples(config.data.seq_len)).total;
  if (step < 1 || step > steps) {
    user_error(fmt::format("there is no step {}", step), run.string(),
               fmt::format("the run has steps 1 to {}", steps));
  }
  require_unchanged(run, config, data);
  MixSampler sampler = sampler_of(config, data.train);
  Json samples = Json::array();
  std::size_t documents = 0;
  for (std::int64_t i = 0; i < config.train.batch_size; ++i) {
    samples.push_back(sample_of(config, data.train, sampler, (step - 1) * config.train.batch_size + i));
    documents += samples.back()["documents"].size();
  }
  say("step {} of {}: {} samples of {} tokens, {} pieces of documents", step, steps, samples.size(),
      config.data.seq_len, documents);
  const Json report{
      {"run", run.string()}, {"step", step}, {"seq_len", config.data.seq_len}, {"samples", samples}};
  print_out(report.dump() + "\n");
}

}  // namespace

void add_data_where_command(CLI::App& data) {
  struct Arguments {
    fs::path run;
    std::int64_t step = 0;
  };
  CLI::App& command = *data.add_subcommand("where", "Show which documents a step of a run saw");
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("run", arguments->run, "run directory")->required()->type_name("RUN");
  command.add_option("--step", arguments->step, "step, counted from 1 as in metrics.jsonl")
      ->required()
      ->type_name("N");
  command.footer("Example: granule data where runs/tiny --step 120");
  command.callback([arguments] { where(arguments->run, arguments->step); });
}

}  // namespace granule
