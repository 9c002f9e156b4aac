#include "data/sampling/loader.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/error.hpp"
#include "core/movement.hpp"

namespace granule {
namespace {

/// How often a thread that waits for data checks whether they make progress.
constexpr std::chrono::milliseconds kLook{20};

std::int64_t micro_batches_per_rank(const LoaderOptions& options) {
  GRANULE_CHECK(options.world > 0 && options.rank >= 0 && options.rank < options.world,
                "loader: rank {} of {}", options.rank, options.world);
  GRANULE_CHECK(options.depth > 0 && options.start_sample >= 0, "loader: depth {}, start {}", options.depth,
                options.start_sample);
  const std::int64_t share = options.world * options.micro_batch_size;
  if (options.batch_size <= 0 || options.micro_batch_size <= 0 || options.batch_size % share != 0) {
    user_error(fmt::format("a batch of {} sequences cannot be cut into micro-batches of {} on {} rank{}",
                           options.batch_size, options.micro_batch_size, options.world,
                           options.world == 1 ? "" : "s"),
               "train.batch_size", "choose a multiple of ranks x train.micro_batch_size");
  }
  return options.batch_size / share;
}

}  // namespace

void append_sample(Batch& batch, const DataMix& data, const SampleId& id, DocumentMask mask) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(batch.seq + 1));
  const TokenSource& source = data.source(id.source);
  source.read_sample(id.sample, batch.seq, tokens);
  const std::size_t before = batch.inputs.size();
  batch.inputs.insert(batch.inputs.end(), tokens.begin(), tokens.end() - 1);
  batch.targets.insert(batch.targets.end(), tokens.begin() + 1, tokens.end());
  if (mask == DocumentMask::no) return;
  batch.first_keys.resize(batch.inputs.size());
  source.read_first_keys(id.sample, batch.seq, std::span(batch.first_keys).subspan(before));
}

Loader::Loader(const DataMix& data, MixSampler sampler, const LoaderOptions& options)
    : data_(data),
      sampler_(std::move(sampler)),
      options_(options),
      per_step_(micro_batches_per_rank(options)) {
  GRANULE_CHECK(sampler_.sources().size() == data_.sources().size(),
                "loader: a sampler over {} sources of {}", sampler_.sources().size(), data_.sources().size());
  for (std::size_t i = 0; i < data_.sources().size(); ++i) {
    const std::int64_t there = data_.sources()[i].samples(options.seq_len);
    const std::int64_t asked = sampler_.sources()[i].samples_per_epoch();
    GRANULE_CHECK(asked <= there, "loader: a sampler over {} samples, source {} has {}", asked, i, there);
  }
  if (options_.mask == DocumentMask::yes) data_.require_documents();
  thread_ = std::thread([this] { read_ahead(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Batch Loader::load(std::int64_t micro_batch) {
  const std::int64_t step = micro_batch / per_step_;
  const std::int64_t within = options_.rank * per_step_ + micro_batch % per_step_;
  const std::int64_t first =
      options_.start_sample + step * options_.batch_size + within * options_.micro_batch_size;
  Batch batch{.batch = options_.micro_batch_size, .seq = options_.seq_len};
  for (std::int64_t row = 0; row < batch.batch; ++row)
    append_sample(batch, data_, batch.samples.emplace_back(sampler_(first + row)), options_.mask);
  return batch;
}

void Loader::read_ahead() {
  const MovementListener listener([this] { ++moved_; });
  try {
    for (std::int64_t micro_batch = 0;; ++micro_batch) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stop_ || std::ssize(ready_) < options_.depth; });
        if (stop_) return;
      }
      Batch batch = load(micro_batch);
      const std::lock_guard lock(mutex_);
      ready_.push_back(std::move(batch));
      changed_.notify_all();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
  }
  changed_.notify_all();
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return !ready_.empty() || failure_; };
  std::int64_t seen = moved_;
  while (!changed_.wait_for(lock, kLook, ready)) {
    const std::int64_t now = moved_;
    if (now != seen) note_movement();
    seen = now;
  }
  if (ready_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  ++taken_;
  lock.unlock();
  changed_.notify_all();
  return batch;
}

std::int64_t Loader::consumed_samples() const {
  return options_.start_sample + taken_ / per_step_ * options_.batch_size;
}

}  // namespace granule
