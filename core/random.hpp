// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011, through Random123). Number i of a stream
// is a pure function of (seed, stream, i), so layouts, devices and threads cannot change it.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace granule {

class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::uint64_t stream) : seed_(seed), stream_(stream) {}
  /// A stream that is named by text, such as a parameter's name.
  RandomStream(std::uint64_t seed, std::string_view name);

  [[nodiscard]] std::array<std::uint64_t, 2> bits(std::uint64_t index) const;
  [[nodiscard]] double uniform(std::uint64_t index) const;  ///< in [0, 1)
  [[nodiscard]] double normal(std::uint64_t index) const;   ///< mean 0, variance 1 (Box–Muller)
  /// A number in [0, bound) with bound > 0: the high half of a 64 × 64 bit product. Its bias is negligible.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound, std::uint64_t index) const;

 private:
  std::uint64_t seed_, stream_;
};

}  // namespace granule
