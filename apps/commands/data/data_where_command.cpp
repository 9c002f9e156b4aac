// granule data where: which documents a step of a run saw. Its config and the data are enough to tell.
#include <filesystem>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/commands/data/data_command.hpp"
#include "apps/inputs/run_data.hpp"
#include "apps/program/console.hpp"
#include "apps/runs/fork_source.hpp"
#include "apps/runs/saved_run.hpp"
#include "core/error.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Arguments {
  fs::path run;
  std::int64_t step = 0;
  // A directory for each source. Empty if the sources are where the run's config says.
  std::vector<std::string> data;
};

/// Takes the same sources from other directories.
void move_sources(RunConfig& config, const Arguments& arguments) {
  if (arguments.data.empty()) return;
  const std::vector<DataMix::Part> sources = config.data.sources();
  if (sources.size() != arguments.data.size()) {
    user_error(fmt::format("the run has {} source{} of data, and {} {} given", sources.size(),
                           sources.size() == 1 ? "" : "s", arguments.data.size(),
                           arguments.data.size() == 1 ? "is" : "are"),
               "--data", "repeat --data once for each source, in the order of the run's data.mix");
  }
  if (config.data.mix.empty()) {
    config.data.path = fs::absolute(arguments.data[0]);
    return;
  }
  for (std::size_t i = 0; i < sources.size(); ++i)
    config.data.mix[i].directory = fs::absolute(arguments.data[i]);
}

RunConfig config_of(const Arguments& arguments) {
  RunConfig config = load_run_config(config_file_of(arguments.run), {});
  move_sources(config, arguments);
  return config;
}

/// The order in which the run reads its samples. Throws a user error if the config or the data are not those
/// that the run was saved with.
SampleOrder order_of_unchanged(const fs::path& run, const RunConfig& config, const RunData& data,
                               const std::optional<CheckpointManifest>& manifest) {
  if (!manifest) {
    say("granule: warning: {} has no checkpoint, so nothing tells whether the data has changed since",
        run.string());
    return sample_order_of(config);
  }
  check_resumable(saved_config(*manifest, run.string()), config, run.string());
  require_same_data(manifest->sections.at("data"), data, run.string());
  return sample_order_of(manifest->sections, config, run.string());
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

void where(const Arguments& arguments) {
  const auto& [run, step, given] = arguments;
  const RunConfig config = config_of(arguments);
  RunConfig training = config;
  training.eval.every = Period{};  // the validation split is not needed
  const RunData data = open_run_data(training);
  const std::int64_t steps = resolve_steps(config, data.train.samples(config.data.seq_len)).total;
  const std::optional<CheckpointManifest> manifest = newest_manifest(run);
  const RunPosition begun = manifest ? beginning_of(manifest->sections) : RunPosition{};
  if (step <= begun.step || step > steps) {
    user_error(fmt::format("there is no step {}", step), run.string(),
               fmt::format("the run has steps {} to {}{}", begun.step + 1, steps,
                           begun.step > 0 ? "; granule inspect shows which run it was forked from" : ""));
  }
  MixSampler sampler = sampler_of(config, data.train, order_of_unchanged(run, config, data, manifest));
  Json samples = Json::array();
  std::size_t documents = 0;
  const std::int64_t first = begun.samples + (step - 1 - begun.step) * config.train.batch_size;
  for (std::int64_t i = 0; i < config.train.batch_size; ++i) {
    samples.push_back(sample_of(config, data.train, sampler, first + i));
    documents += samples.back()["documents"].size();
  }
  say("step {} of {}: {} samples of {} tokens, {} pieces of documents", step, steps, samples.size(),
      config.data.seq_len, documents);
  const Json report{
      {"run", run.string()}, {"step", step}, {"seq_len", config.data.seq_len}, {"samples", samples}};
  print_json(report);
}

}  // namespace

void add_data_where_command(CLI::App& data) {
  CLI::App& command = *data.add_subcommand("where", "Show which documents a step of a run saw.");
  const auto arguments = std::make_shared<Arguments>();
  command.add_option("run", arguments->run, "The run directory.")->required()->type_name("RUN");
  command.add_option("--step", arguments->step, "The step, counted from 1 as in metrics.jsonl.")
      ->required()
      ->type_name("N");
  command
      .add_option(
          "--data", arguments->data,
          "Where the data of the run are now. For a data.mix give it once for each source, in the order of "
          "the mix.")
      ->type_name("DIR")
      ->allow_extra_args(false);
  command.footer("Example: granule data where runs/tiny --step 120");
  command.callback([arguments] { where(*arguments); });
}

}  // namespace granule
