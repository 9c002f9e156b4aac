// Reads the micro-batches of a run ahead of the training thread. Which samples a step uses depends on the
// position in the run only; a layout decides which rank reads which of the step's micro-batches.
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

/// One micro-batch: row r of `inputs` and `targets` (batch × seq, row-major) is sample `samples[r]`, the
/// targets one token later than the inputs. first_keys: where in its row the document of each input begins;
/// empty without a document mask.
struct Batch {
  std::vector<std::int32_t> inputs{}, targets{}, first_keys{};
  std::vector<SampleId> samples{};
  std::int64_t batch = 0;
  std::int64_t seq = 0;
};

struct LoaderOptions {
  std::int64_t seq_len = 0;
  std::int64_t batch_size = 0;        ///< sequences a step, over all ranks
  std::int64_t micro_batch_size = 0;  ///< sequences a micro-batch
  std::int64_t start_sample = 0;      ///< samples consumed before, from consumed_samples()
  std::int64_t rank = 0;  ///< of `world`: reads the rank-th contiguous block of the step's micro-batches
  std::int64_t world = 1;
  DocumentMask mask = DocumentMask::no;
  std::int64_t depth = 4;  ///< micro-batches read ahead at most
};

class Loader {
 public:
  /// `data` must outlive the loader. Throws a user error when batch_size is not a multiple of
  /// world × micro_batch_size, and when documents are to be masked that the shards do not tell.
  Loader(const DataMix& data, MixSampler sampler, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next micro-batch of this rank; the run has no end. Throws what reading it threw. While it waits,
  /// movement of the reading thread is noted on the calling one.
  [[nodiscard]] Batch next();
  [[nodiscard]] std::int64_t micro_batches_per_step() const { return per_step_; }
  /// Samples of all ranks in the steps whose micro-batches were all handed out, start_sample included: the
  /// cursor of a checkpoint. What was only read ahead does not count. Called by the thread that calls next().
  [[nodiscard]] std::int64_t consumed_samples() const;

 private:
  void read_ahead();
  [[nodiscard]] Batch load(std::int64_t micro_batch);

  const DataMix& data_;
  MixSampler sampler_;
  LoaderOptions options_;
  std::int64_t per_step_ = 0;
  std::int64_t taken_ = 0;               // micro-batches handed out
  std::atomic<std::int64_t> moved_ = 0;  // by the reading thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;  // the rest is guarded by mutex_
  std::exception_ptr failure_;
  bool stop_ = false;
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace granule
