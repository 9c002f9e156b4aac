// Reads the micro-batches of a run ahead of the training thread. The samples of a step depend only on the
// position in the run. A layout decides which rank reads which of the step's micro-batches.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/sampling/data_mix.hpp"

namespace granule {

/// One micro-batch. Row r of `inputs` and `targets` (batch × seq, row-major) is sample `samples[r]`. The
/// targets are one token later than the inputs. `first_keys` says where in its row the document of each input
/// begins. It is empty without a document mask.
struct Batch {
  std::vector<std::int32_t> inputs{}, targets{}, first_keys{};
  std::vector<SampleId> samples{};
  std::int64_t batch = 0;
  std::int64_t seq = 0;
};
/// Appends one sample of `seq` tokens, and its targets. `batch.batch` stays as it is.
void append_sample(Batch& batch, const DataMix& data, const SampleId& id, DocumentMask mask);

struct LoaderOptions {
  std::int64_t seq_len = 0;
  std::int64_t batch_size = 0;        ///< sequences in a step, over all ranks
  std::int64_t micro_batch_size = 0;  ///< sequences in a micro-batch
  std::int64_t start_sample = 0;      ///< samples consumed before, from consumed_samples()
  /// This rank of `world`. Block `rank` of the step's micro-batches, which are cut into `world` equal blocks,
  /// is its own.
  std::int64_t rank = 0;
  std::int64_t world = 1;
  DocumentMask mask = DocumentMask::no;
  std::int64_t depth = 4;  ///< at most this many micro-batches are read ahead
};

class Loader {
 public:
  /// `data` must outlive the loader. Throws a user error if batch_size is not a multiple of world ×
  /// micro_batch_size. It also does so if documents must be masked and the shards do not say where they
  /// begin.
  Loader(const DataMix& data, MixSampler sampler, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next micro-batch of this rank. The run has no end. It throws what reading threw. While it waits,
  /// movement of the reading thread is noted on the calling one.
  [[nodiscard]] Batch next();
  [[nodiscard]] std::int64_t micro_batches_per_step() const { return per_step_; }
  /// The cursor of a checkpoint: samples of all ranks, start_sample included, in the steps whose
  /// micro-batches were all handed out. What was only read ahead does not count. The thread that calls next()
  /// must call it.
  [[nodiscard]] std::int64_t consumed_samples() const;

 private:
  void read_ahead();
  [[nodiscard]] Batch load(std::int64_t micro_batch);

  const DataMix& data_;
  MixSampler sampler_;
  LoaderOptions options_;
  std::int64_t per_step_ = 0;
  std::int64_t taken_ = 0;               // micro-batches that were handed out
  std::atomic<std::int64_t> moved_ = 0;  // movements of the reading thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;  // mutex_ guards this and the members after it
  std::exception_ptr failure_;
  bool stop_ = false;
  std::thread thread_;  // the last member, so that it starts when everything else is there
};

}  // namespace granule
