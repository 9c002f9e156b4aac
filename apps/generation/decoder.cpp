#include "apps/generation/decoder.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/models/running_model.hpp"
#include "core/error.hpp"
#include "core/transfer.hpp"

namespace granule {
namespace {

// Tokens of a prompt that pass through the model together. Each piece reads all weights, and its activations
// are held at once.
constexpr std::size_t kPiece = 512;
constexpr std::int64_t kLogitRows = 16;  // rows of the whole vocabulary that are held at once

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

void Decoder::rewind(std::int64_t length) {
  GRANULE_CHECK(length <= length_, "decoder: back to {} tokens, it has seen {}", length, length_);
  for (KvCache& cache : caches_) cache.length = length;
  length_ = length;
  if (!text_.empty()) text_.resize(static_cast<std::size_t>(length));
}

void Decoder::feed_pieces(std::span<const std::int32_t>& tokens,
                          const std::function<void(const Tensor& y_ND)>& take) {
  GRANULE_CHECK(!tokens.empty() && length_ + std::ssize(tokens) <= capacity_,
                "decoder: {} tokens after {}, there is room for {}", tokens.size(), length_, capacity_);
  if (const std::int64_t rope_length = rope_length_for(length_ + std::ssize(tokens)); rope_length > 0) {
    text_.insert(text_.end(), tokens.begin(), tokens.end());
    if (rope_length != std::exchange(rope_length_, rope_length)) {
      for (KvCache& cache : caches_) cache.length = 0;
      length_ = 0;
      tokens = text_;
    }
  }
  for (auto rest = tokens; !rest.empty(); rest = rest.subspan(std::min(kPiece, rest.size())))
    take(run(rest.first(std::min(kPiece, rest.size()))));
}

void Decoder::logits_of(const Tensor& y_ND, const TakeLogits& take) {
  const Pass pass{.context = context_, .batch = 1, .seq = y_ND.shape()[0]};
  const Tensor logit_NV = model_.network().logits(pass, Var{y_ND}).value;
  const auto width = static_cast<std::size_t>(logit_NV.shape()[1]);
  std::vector<double> row(width);
  dispatch_float(logit_NV.dtype(), [&]<class T>() {
    const HostCopy<T> copy = read_back<T>(logit_NV);
    for (auto rest = copy.get(); !rest.empty(); rest = rest.subspan(width)) {
      std::copy_n(rest.begin(), width, row.begin());
      if (!std::ranges::all_of(row, [](double logit) { return std::isfinite(logit); })) {
        user_error("the logits are not finite", "the model", kNotFiniteAdvice);
      }
      take(row);
    }
  });
}

std::vector<double> Decoder::feed(std::span<const std::int32_t> tokens) {
  Tensor y_ND;
  feed_pieces(tokens, [&](const Tensor& piece_ND) { y_ND = piece_ND; });
  const std::int64_t width = y_ND.shape()[1];
  std::vector<double> last;
  logits_of(y_ND.slice(y_ND.numel() - width, {1, width}),
            [&](std::span<const double> logits) { last.assign(logits.begin(), logits.end()); });
  return last;
}

void Decoder::feed(std::span<const std::int32_t> tokens, std::size_t skip, const TakeLogits& take) {
  const std::size_t asked = tokens.size();
  std::int64_t row = 0;  // of all that is fed
  feed_pieces(tokens, [&](const Tensor& y_ND) {
    // If the text is read again, the rows of what was seen before come first.
    const auto first = static_cast<std::int64_t>(tokens.size() - asked + skip);
    const std::int64_t rows = y_ND.shape()[0], width = y_ND.shape()[1];
    for (std::int64_t at = std::max<std::int64_t>(0, first - row); at < rows; at += kLogitRows) {
      const std::int64_t count = std::min(kLogitRows, rows - at);
      logits_of(y_ND.slice(at * width, {count, width}), take);
    }
    row += rows;
  });
}

}  // namespace granule
