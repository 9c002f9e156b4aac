#include "apps/generation/generation.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "core/transfer.hpp"

namespace granule {
namespace {

// The scores of a piece of a prompt against all tokens before it are held at once. A small piece keeps that
// memory small.
constexpr std::size_t kPiece = 128;

}  // namespace

Decoder::Decoder(Context& context, const Model& model, std::int64_t capacity)
    : context_(context), model_(model), capacity_(capacity) {
  GRANULE_CHECK(capacity <= model.config().positions(), "decoder: {} tokens, the model has {}", capacity,
                model.config().positions());
  caches_ = model.network().make_caches(context, model.precision().values, capacity);
}

std::int64_t Decoder::rope_length_for(std::int64_t length) const {
  const ModelConfig& config = model_.config();
  if (config.rope_scaling.type != RopeScaling::Type::dynamic) return 0;
  const std::int64_t step = config.max_position_embeddings;
  return std::min((length + step - 1) / step * step, config.positions());
}

Tensor Decoder::run(std::span<const std::int32_t> tokens) {
  const std::int64_t count = std::ssize(tokens);
  Tensor token_N = Tensor::empty(context_, {count}, DType::i32);
  write(tokens, token_N);
  const Pass pass{.context = context_,
                  .batch = 1,
                  .seq = count,
                  .position_N = make_positions(context_, 1, count, length_),
                  .rope_length = rope_length_,
                  .token_N = token_N,
                  .caches = &caches_};
  const Var x_ND = model_.network().embed(pass, token_N);
  const Tensor y_ND = model_.network().blocks(pass, x_ND).value;
  length_ += count;
  return y_ND;
}

void Decoder::empty_caches() {
  for (KvCache& cache : caches_) cache.length = 0;
  length_ = 0;
}

void Decoder::forget() {
  empty_caches();
  text_.clear();
}

std::vector<double> Decoder::feed(std::span<const std::int32_t> tokens) {
  GRANULE_CHECK(!tokens.empty() && length_ + std::ssize(tokens) <= capacity_,
                "decoder: {} tokens after {}, there is room for {}", tokens.size(), length_, capacity_);
  if (const std::int64_t rope_length = rope_length_for(length_ + std::ssize(tokens)); rope_length > 0) {
    text_.insert(text_.end(), tokens.begin(), tokens.end());
    if (rope_length != std::exchange(rope_length_, rope_length)) {
      empty_caches();
      tokens = text_;
    }
  }
  Tensor y_ND;
  for (; !tokens.empty(); tokens = tokens.subspan(std::min(kPiece, tokens.size())))
    y_ND = run(tokens.first(std::min(kPiece, tokens.size())));
  const std::int64_t width = y_ND.shape()[1];
  const Pass pass{.context = context_, .batch = 1, .seq = 1};
  const Var last{y_ND.slice(y_ND.numel() - width, {1, width})};
  const Tensor logit_1V = model_.network().logits(pass, last).value;
  return dispatch_float(logit_1V.dtype(), [&]<class T>() {
    const HostCopy<T> copy = read_back<T>(logit_1V);
    const std::span<const T> values = copy.get();
    return std::vector<double>(values.begin(), values.end());
  });
}

}  // namespace granule
