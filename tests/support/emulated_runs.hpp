// Runs of granule train on the emulated CUDA device (tests/cuda_emulation), and beside them runs on the CPU.
#pragma once
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/workshop.hpp"

namespace granule::test {

using Words = std::vector<std::string>;

inline Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

inline const Words kOnCuda{"train.device=cuda"};

/// `emulated`, or on a machine with GPUs the plug-in that the environment names.
inline const char* device_plugin(const char* emulated) {
  const char* const named = std::getenv("GRANULE_CUDA_PLUGIN");
  return named != nullptr ? named : emulated;
}
/// Whether the environment names another plug-in than `emulated`.
inline bool on_gpu(const char* emulated) {
  return std::string_view(device_plugin(emulated)) != emulated;
}

inline ProgramOptions with(const char* plugin) {
  return {.environment = {{"GRANULE_CUDA_PLUGIN", plugin}}};
}

inline Words train_words(const Workshop& shop, const char* out, const Words& more) {
  return Words{"train", shop.path("run.toml"), "--out", shop.path(out), "train.steps=6", "eval.every=3"} +
         more;
}

/// Returns what it has written on stderr.
inline std::string train_on(int ranks, const Workshop& shop, const char* out, const Words& more,
                            const ProgramOptions& options) {
  const ProgramResult result =
      under_mpirun(ranks, Words{program_path()} + train_words(shop, out, more), options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result.err;
}

/// The largest relative difference of two numbers at the same place, or infinity if anything else differs.
inline double difference(const nlohmann::json& a, const nlohmann::json& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.is_number_float() && b.is_number_float()) {
    const auto x = a.get<double>(), y = b.get<double>();
    return x == y ? 0.0 : std::abs(x - y) / std::max(std::abs(x), std::abs(y));
  }
  if (!a.is_structured()) return a == b ? 0.0 : kInfinity;
  if (a.type() != b.type() || a.size() != b.size()) return kInfinity;
  const nlohmann::json left = a.flatten(), right = b.flatten();
  double most = 0.0;
  for (const auto& [place, value] : left.items())
    most = std::max(most, right.contains(place) ? difference(value, right[place]) : kInfinity);
  return most;
}

/// Of the runs "cuda" and "cpu".
inline void require_close_runs(const Workshop& shop, double bound) {
  CHECK(difference(nlohmann::json(shop.metrics("cuda")), nlohmann::json(shop.metrics("cpu"))) <= bound);
}

}  // namespace granule::test
