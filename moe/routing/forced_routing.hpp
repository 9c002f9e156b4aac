// Where tokens go if not the router decides: evenly to all experts, or all to those of the first rank. With
// it a benchmark measures, and a plan rehearses, the best and the worst load.
#pragma once
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor.hpp"
#include "moe/config.hpp"

namespace granule {

/// natural: the router decides. even: every expert is chosen equally often, as far as that is possible.
/// worst: tokens choose the first experts, those of the first rank. Within a capacity, as many experts as it
/// takes for no more choices to be dropped than with any other routing.
enum class Routing : std::uint8_t { natural, even, worst };
inline constexpr std::array<std::pair<std::string_view, Routing>, 3> kRoutingNames{
    {{"natural", Routing::natural}, {"even", Routing::even}, {"worst", Routing::worst}}};

[[nodiscard]] constexpr std::string_view name_of(Routing routing) {
  return kRoutingNames[static_cast<std::size_t>(routing)].first;
}

/// What tokens chose.
struct Choice {
  Tensor id_NK;                         ///< int32
  std::vector<std::int64_t> count_E{};  ///< how often each expert was chosen; empty if only the device knows
};

/// How many choices of each expert are carried out within a capacity.
[[nodiscard]] std::vector<std::int64_t> rows_within_capacity(std::vector<std::int64_t> count_E,
                                                             std::int64_t capacity);
/// The rows that each expert gets from a rank of `tokens` tokens, within its capacity in training.
[[nodiscard]] std::vector<std::int64_t> forced_rows(const MoeConfig& moe, std::int64_t tokens,
                                                    Routing routing);

/// The choice of `tokens` tokens without padding. Throws for Routing::natural.
[[nodiscard]] Choice forced_choice(Context& context, const MoeConfig& moe, std::int64_t tokens,
                                   Routing routing);

}  // namespace granule
