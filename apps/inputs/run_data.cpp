#include "apps/inputs/run_data.hpp"

#include "core/error.hpp"
#include "core/transfer.hpp"

namespace granule {
namespace {

using nlohmann::json;

/// Only eval.every needs it. If it is missing, the error says so.
DataMix open_validation(const std::vector<DataMix::Part>& sources, DigestCheck digests) try {
  return {sources, Split::val, digests};
} catch (const Error& error) {
  throw Error(error.code(),
              fmt::format("eval.every asks for evaluations; {}; or set eval.every = 0", error.what()), "",
              "");
}

std::optional<std::filesystem::path> tokenizer_of(const DataMix& data) {
  for (const TokenSource& source : data.sources()) {
    if (auto tokenizer = find_tokenizer(source.directory())) return tokenizer;
  }
  return std::nullopt;
}

}  // namespace

json identity_of(const DataMix& data) {
  json identity{{"sources", json::array()}};
  for (const TokenSource& source : data.sources())
    identity["sources"].push_back({{"tokens", source.summary().tokens}, {"sha256", source.digest()}});
  if (const auto& sha256 = data.summary().tokenizer_sha256) identity["tokenizer_sha256"] = *sha256;
  return identity;
}

RunData open_run_data(const RunConfig& config, DigestCheck digests) {
  const std::vector<DataMix::Part> sources = config.data.sources();
  if (sources.empty())
    user_error("no data", "data.path",
               "name a directory that granule data build wrote, or several in data.mix");
  RunData data{DataMix(sources, Split::train, digests)};
  if (config.eval.every.amount > 0.0) data.validation = open_validation(sources, digests);
  if (config.data.document_mask) {
    data.train.require_documents();
    if (data.validation) data.validation->require_documents();
  }
  data.tokenizer = tokenizer_of(data.train);
  data.bos_of_documents = data.train.bos_of_documents();
  data.identity = identity_of(data.train);
  return data;
}

void settle_vocabulary(RunConfig& config, const RunData& data, const std::string& tokenizer_sha256,
                       VocabularyOf owner) {
  if (config.model.vocab_size == 0) {
    const auto size = data.train.summary().vocab_size;
    if (!size) {
      user_error("the vocabulary size is known neither from the config nor from the data",
                 data.train.source(0).directory().string(), "set model.vocab_size");
    }
    config.model.vocab_size = *size;
  }
  data.train.require_vocabulary(config.model.vocab_size, tokenizer_sha256, owner);
  if (data.validation) data.validation->require_vocabulary(config.model.vocab_size, tokenizer_sha256, owner);
}

StepTotals totals_of(const RunConfig& config) {
  return {config.train.batch_size * config.data.seq_len, config.train.batch_size,
          config.train.batch_size / config.train.micro_batch_size};
}

SampleOrder sample_order_of(const RunConfig& config) {
  return config.data.shuffle ? SampleOrder::keyed : SampleOrder::sequential;
}

SampleOrder sample_order_of(const json& sections, const RunConfig& config, const std::string& checkpoint) {
  if (!config.data.shuffle) return SampleOrder::sequential;
  if (!sections.contains(kSampleOrderSection)) return SampleOrder::shuffled;
  const auto name = sections.at(kSampleOrderSection).get<std::string>();
  const auto order = sample_order_of(name);
  if (!order) {
    user_error(fmt::format("the run reads its samples in an order that is not known here: {}", name),
               checkpoint, "go on with the version of granule that began the run");
  }
  return *order;
}

MixSampler sampler_of(const RunConfig& config, const DataMix& train, SampleOrder order) {
  return train.sampler(config.data.seq_len, order, static_cast<std::uint64_t>(config.data.seed));
}

MicroBatch empty_micro_batch(Context& context, std::int64_t batch, std::int64_t seq, DocumentMask mask) {
  const auto ids = [&] { return Tensor::empty(context, {batch * seq}, DType::i32); };
  MicroBatch micro{ids(), ids(), batch, seq};
  if (mask == DocumentMask::yes) micro.first_key_N = ids();
  return micro;
}

MicroBatch to_micro_batch(Context& context, const Batch& batch) {
  MicroBatch micro =
      empty_micro_batch(context, batch.batch, batch.seq, DocumentMask{!batch.first_keys.empty()});
  write<std::int32_t>(batch.inputs, micro.token_N);
  write<std::int32_t>(batch.targets, micro.target_N);
  if (!batch.first_keys.empty()) write<std::int32_t>(batch.first_keys, micro.first_key_N);
  return micro;
}

void require_same_data(const json& saved, const RunData& data, const std::string& checkpoint) {
  if (saved == data.identity) return;
  const json was = saved.value("sources", json::array());
  if (was.size() != data.train.sources().size()) {
    user_error(fmt::format("the data is not what the run was trained on: another number of sources: {} now, "
                           "{} then",
                           data.train.sources().size(), was.size()),
               checkpoint, "give data.path or data.mix the data of this run");
  }
  for (std::size_t i = 0; i < was.size(); ++i) {
    const TokenSource& source = data.train.sources()[i];
    if (was[i] == data.identity["sources"][i]) continue;
    user_error(fmt::format("the data is not what the run was trained on: {} now, {} then",
                           data.identity["sources"][i].dump(), was[i].dump()),
               source.directory().string(), "put the run's own data back; the checkpoint is " + checkpoint);
  }
  user_error("the data is not what the run was trained on: another tokenizer", checkpoint,
             "give data.path or data.mix the data of this run");
}

}  // namespace granule
