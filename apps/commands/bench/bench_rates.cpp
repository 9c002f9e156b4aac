#include "apps/commands/bench/bench_rates.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/kernels/ceiling.hpp"
#include "core/kernels/copy.hpp"
#include "core/kernels/fill.hpp"
#include "core/random.hpp"
#include "core/transfer_pieces.hpp"

namespace granule {
namespace {

double median_seconds(const BenchPiece& piece, std::int64_t repeats, const CacheFiller& cache) {
  piece.run(cache);  // the first run touches its memory
  std::vector<double> seconds;
  for (std::int64_t i = 0; i < repeats; ++i) seconds.push_back(piece.run(cache));
  return median(std::move(seconds));
}

/// Reads and writes together, of copies from one part of the device's memory to another. The memory is not
/// that of the work, whose peak is reported.
double copy_gbps(Device device) {
  constexpr std::int64_t kMost = std::int64_t{256} << 20, kCopies = 10;
  Context context({.device = device});
  const std::int64_t floats = std::min(kMost, context.runtime()->step_memory() / 8) / size_of(DType::f32);
  const Tensor from = Tensor::zeros(context, {floats}, DType::f32),
               to = Tensor::zeros(context, {floats}, DType::f32);
  double least = seconds_of(context, [&] { copy(from, to); });
  for (std::int64_t i = 0; i < kCopies; ++i)
    least = std::min(least, seconds_of(context, [&] { copy(from, to); }));
  return 2.0 * static_cast<double>(from.bytes()) / least / 1e9;
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

CacheFiller::CacheFiller(Context& context) {
  constexpr std::int64_t kMost = std::int64_t{256} << 20;  // a B200 has a cache of 126 MB
  if (context.runtime() == nullptr) return;
  const std::int64_t floats = std::min(kMost, context.runtime()->step_memory() / 8) / size_of(DType::f32);
  memory_ = Tensor::zeros(context, {floats}, DType::f32, MemoryCategory::communication);
}

void CacheFiller::fill() const {
  if (memory_.defined()) fill_zero(memory_);
}

Tensor random_tensor(Context& context, const Shape& shape, DType dtype) {
  Tensor tensor = Tensor::empty(context, shape, dtype);
  dispatch_storage(dtype, [&]<class T>() {
    std::vector<T> numbers(static_cast<std::size_t>(std::min(tensor.numel(), std::int64_t{1} << 20)));
    const RandomStream stream(1, 0);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      numbers[i] = static_cast<T>(static_cast<Wide<T>>(stream.normal(i)));
    write_in_pieces<T>(tensor, [&](std::int64_t begin, std::span<T> piece) {
      for (T& value : piece) value = numbers[static_cast<std::size_t>(begin++) % numbers.size()];
    });
  });
  return tensor;
}

double seconds_of(Context& context, const std::function<void()>& work) {
  constexpr std::string_view kWork = "the work";
  Profile& profile = context.profile();
  profile.start();
  {
    const PhaseTimer timer(profile, kWork);
    work();
  }
  return profile.seconds().find(kWork)->second;
}

MachineRates measure_rates(Context& context, DType dtype, std::optional<double> stated_peak) {
  if (context.runtime() != nullptr) {
    GRANULE_CHECK(stated_peak.has_value(), "bench: the peak of the device is not stated");
    return {*stated_peak / 1e9, copy_gbps(context.device())};
  }
  return {fma_ceiling_gflops(context.pool(), dtype), stream_gbps(context.pool())};
}

MachineRates better_of(const MachineRates& before, const MachineRates& after) {
  return {std::max(before.gflops, after.gflops), std::max(before.gbps, after.gbps)};
}

nlohmann::ordered_json measure_pieces(Context& context, DType dtype, const std::vector<BenchPiece>& pieces,
                                      std::int64_t repeats, std::optional<double> stated_peak) {
  const MachineRates before = measure_rates(context, dtype, stated_peak);
  const CacheFiller cache(context);
  std::vector<double> typical;
  for (const BenchPiece& piece : pieces) typical.push_back(median_seconds(piece, repeats, cache));
  const auto [gflops, gbps] = better_of(before, measure_rates(context, dtype, stated_peak));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const BenchPiece& piece = pieces[i];
    const double floor = std::max(piece.flops / (gflops * 1e9), piece.bytes / (gbps * 1e9));
    results.push_back({{"name", piece.name},
                       {"seconds", typical[i]},
                       {"gflops", piece.flops / typical[i] / 1e9},
                       {"gbps", piece.bytes / typical[i] / 1e9},
                       {"share_of_floor", floor / typical[i]}});
  }
  return {{"fma_ceiling_gflops", gflops},
          {"stream_gbps", gbps},
          {"threads", context.pool().size()},
          {"results", results}};
}

}  // namespace granule
