#include "apps/specialisation/choice_counts.hpp"

#include <algorithm>
#include <limits>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr std::int64_t kMostCells = (std::int64_t{256} << 20) / std::int64_t{sizeof(std::uint32_t)};

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

std::int64_t most_rows(const Model& model) {
  const std::int64_t cells = model.moe().n_routed_experts * std::ssize(model.moe_layers());
  return std::max<std::int64_t>(1, kMostCells / std::max<std::int64_t>(1, cells));
}

}  // namespace

ChoiceCounts::ChoiceCounts(const Model& model, const DataMix& data, std::int64_t tokens, TokenTable table)
    : source_(data.source(0)),
      layer_numbers_(model.moe_layers()),
      experts_(model.moe().n_routed_experts),
      table_(std::move(table)),
      frequencies_(source_, tokens, model.config().vocab_size, most_rows(model)),
      layers_(layer_numbers_.size()),
      arriving_(layer_numbers_.size()) {
  GRANULE_CHECK(data.sources().size() == 1, "choices of {} sources", data.sources().size());
  GRANULE_CHECK(tokens <= std::numeric_limits<std::uint32_t>::max(), "choices of {} tokens", tokens);
  for (Layer& layer : layers_) {
    layer.experts.resize(at(experts_));
    layer.together_EE.resize(at(experts_ * experts_));
    layer.of_token_RE.resize(frequencies_.frequent().size() * at(experts_));
  }
  for (const ShardReader& shard : source_.shards()) {
    if (shard.document_offsets().empty()) return;
    first_document_.push_back(first_document_.back() + std::ssize(shard.document_offsets()) - 1);
  }
  documents_.emplace(layers_.size(), experts_);
}

void ChoiceCounts::on_choice(const ChoiceNote& note) {
  Arriving& arriving = arriving_[index_of(layer_numbers_, note.layer)];
  arriving = {.ids = read_back<std::int32_t>(note.id_NK)};
  if (note.weight_NK.dtype() == DType::f64)
    arriving.weights_f64 = read_back<double>(note.weight_NK);
  else
    arriving.weights_f32 = read_back<float>(note.weight_NK);
}

void ChoiceCounts::count_token(Layer& layer, std::int32_t token, std::span<const std::int32_t> ids) const {
  const auto kind = static_cast<std::size_t>(table_.class_of(token));
  const std::int64_t row = frequencies_.row(token);
  for (const std::int32_t id : ids) {
    ++layer.experts[at(id)].load;
    ++layer.experts[at(id)].classes[kind];
    if (row >= 0) ++layer.of_token_RE[at(row * experts_ + id)];
    for (const std::int32_t other : ids) ++layer.together_EE[at(id * experts_ + other)];
  }
}

void ChoiceCounts::count_documents(const Batch& batch) {
  for (std::int64_t row = 0; row < batch.batch; ++row) {
    const std::int64_t begin = batch.samples[at(row)].sample * batch.seq;
    std::int64_t token = row * batch.seq;
    for (const DocumentPart& part : source_.documents_in(begin, begin + batch.seq)) {
      const std::int64_t tokens = part.end - part.begin;
      documents_->enter(first_document_[part.shard] + *part.document, tokens);
      for (std::size_t i = 0; i < layers_.size(); ++i) {
        const auto ids = arriving_[i].ids.get();
        const std::size_t k = ids.size() / batch.inputs.size();
        documents_->add(i, ids.subspan(at(token) * k, at(tokens) * k));
      }
      token += tokens;
    }
  }
}

void ChoiceCounts::on_batch(const Batch& batch) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Arriving& arrived = arriving_[i];
    const auto ids = arrived.ids.get();
    const std::size_t k = ids.size() / batch.inputs.size();
    for (std::size_t t = 0; t < batch.inputs.size(); ++t)
      count_token(layers_[i], batch.inputs[t], ids.subspan(t * k, k));
    for (std::size_t c = 0; c < ids.size(); ++c) layers_[i].experts[at(ids[c])].weight += arrived.weight(c);
  }
  if (documents_) count_documents(batch);
  tokens_ += std::ssize(batch.inputs);
  arriving_.assign(layers_.size(), {});
}

void ChoiceCounts::finish() {
  if (documents_) documents_->finish();
}

}  // namespace granule
