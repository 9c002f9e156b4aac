#include "data/sampling/data_mix.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace granule {
namespace {

Mixture mixture_of(std::span<const DataMix::Part> parts) {
  std::vector<double> weights;
  for (const DataMix::Part& part : parts) weights.push_back(part.weight);
  return Mixture(weights);
}

}  // namespace

DataMix::DataMix(std::span<const Part> parts, Split split, DigestCheck digests)
    : mixture_(mixture_of(parts)) {
  for (const Part& part : parts) sources_.emplace_back(part.directory, split, digests);
  summary_.documents = summary_.utf8_bytes = 0;
  for (const TokenSource& source : sources_) summary_.add(source.summary(), source.directory());
}

void DataMix::require_vocabulary(std::int64_t vocab_size, const std::string& tokenizer_sha256,
                                 VocabularyOf owner) const {
  for (const TokenSource& source : sources_) source.require_vocabulary(vocab_size, tokenizer_sha256, owner);
}

void DataMix::require_documents() const {
  for (const TokenSource& source : sources_) source.require_documents();
}

std::optional<std::int32_t> DataMix::bos_of_documents() const {
  const auto bos = sources_.front().bos_of_documents();
  for (const TokenSource& source : sources_) {
    if (source.bos_of_documents() != bos) return std::nullopt;
  }
  return bos;
}

std::int64_t DataMix::samples(std::int64_t seq_len) const {
  std::int64_t samples = 0;
  for (const TokenSource& source : sources_) samples += source.samples(seq_len);
  return samples;
}

MixSampler DataMix::sampler(std::int64_t seq_len, SampleOrder order, std::uint64_t seed) const {
  std::vector<std::int64_t> samples;
  for (const TokenSource& source : sources_) samples.push_back(source.samples(seq_len));
  return {mixture_, samples, order, seed};
}

std::int64_t DataMix::samples_before_a_repeat(std::int64_t seq_len) const {
  const auto repeats = [&](std::int64_t end) {
    for (std::int64_t s = 0; s < mixture_.sources(); ++s) {
      if (mixture_.count(s, end) > source(s).samples(seq_len)) return true;
    }
    return false;
  };
  std::int64_t without = 0, with = samples(seq_len) + 1;  // among so many, one must come again
  while (with - without > 1) {
    const std::int64_t middle = (without + with) / 2;
    (repeats(middle) ? with : without) = middle;
  }
  return without;
}

std::optional<double> DataMix::target_bytes(std::int64_t samples, std::int64_t seq_len) const {
  double sum = 0.0;
  for (std::int64_t s = 0; s < mixture_.sources(); ++s) {
    // The targets of the first n samples of a source are its tokens [1, n · seq_len + 1).
    const auto bytes = source(s).utf8_bytes_in(1, mixture_.count(s, samples) * seq_len + 1);
    if (!bytes) return std::nullopt;
    sum += *bytes;
  }
  return sum;
}

}  // namespace granule
