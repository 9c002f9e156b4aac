// The two parts of a data set: what a model is trained on, and what is held back to evaluate it.
#pragma once
#include <cstdint>
#include <string_view>

namespace granule {

enum class Split : std::uint8_t { train, val };

/// "train" or "val", as in file names and manifests.
[[nodiscard]] constexpr std::string_view name_of(Split split) {
  return split == Split::train ? "train" : "val";
}

}  // namespace granule
