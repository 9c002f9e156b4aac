// What `granule bench gemm` and `granule bench ops` measure: named pieces of work. Each piece states the
// operations and bytes that it needs at least. Its time is compared with the machine's own rates of the same
// run.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"
#include "core/context.hpp"
#include "core/tensor.hpp"

namespace granule {

/// What the machine gives: 10⁹ floating-point operations and 10⁹ bytes a second.
struct MachineRates {
  double gflops = 0.0, gbps = 0.0;
};
/// The rates of a CPU's threads are measured. A GPU's rate of operations is its stated peak, in operations a
/// second, and the rate of its memory is that of a copy.
[[nodiscard]] MachineRates measure_rates(Context& context, DType dtype, std::optional<double> stated_peak);
/// Rates are measured before and after the work, because other programs can disturb one of the two. Less than
/// what the machine gives would make every share too large.
[[nodiscard]] MachineRates better_of(const MachineRates& before, const MachineRates& after);

/// The middle one of them, and of an even number the larger of the two. There must be one.
[[nodiscard]] double median(std::vector<double> values);

/// Normal random numbers, the same in every tensor. A GPU multiplies zeros faster than numbers. They repeat
/// after 2²⁰ of them, because making more of them takes long.
[[nodiscard]] Tensor random_tensor(Context& context, const Shape& shape, DType dtype);

/// Writes more memory than the cache of a GPU has, so that what is in it is of no use for what comes next. On
/// a CPU it does nothing.
class CacheFiller {
 public:
  explicit CacheFiller(Context& context);
  void fill() const;

 private:
  Tensor memory_;
};

/// Seconds of the work on the context's device, by the clock of its profile.
[[nodiscard]] double seconds_of(Context& context, const std::function<void()>& work);

struct BenchPiece {
  std::string name;
  double flops = 0.0;
  double bytes = 0.0;  ///< each is read or written once
  /// Does the work once and returns its seconds. It fills the cache before what is measured begins.
  std::function<double(const CacheFiller&)> run;
};

///   {fma_ceiling_gflops, stream_gbps, threads,
///    results: [{name, seconds (median), gflops, gbps, share_of_floor}]}
/// The floor of a piece is the longer of two times: its operations at the ceiling, and its bytes at the
/// streaming rate. On a GPU nothing is in the cache when the measured work begins. On a CPU, a piece whose
/// bytes stay in a cache can beat its floor.
[[nodiscard]] nlohmann::ordered_json measure_pieces(Context& context, DType dtype,
                                                    const std::vector<BenchPiece>& pieces,
                                                    std::int64_t repeats, std::optional<double> stated_peak);

/// The matrix products of a step, for every layer at the config's sizes: forward and both gradients.
[[nodiscard]] std::vector<BenchPiece> gemm_pieces(Context& context, const RunConfig& config);
/// The operators of a step at the config's sizes, forward and backward.
[[nodiscard]] std::vector<BenchPiece> operator_pieces(Context& context, const RunConfig& config);

}  // namespace granule
