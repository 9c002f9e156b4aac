// Catch2 of version 2 (Debian 12) or 3 (Debian 13), under the names of version 2. Tests include only this
// header.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <string>

#include <catch2/catch_all.hpp>

using Catch::Approx;

namespace Catch {

using Matchers::EndsWith;
using Matchers::StartsWith;
/// In version 3, this name means an element of a range, so the matcher of version 2 is defined here.
[[nodiscard]] inline auto Contains(const std::string& part, CaseSensitive sensitivity = CaseSensitive::Yes) {
  return Matchers::ContainsSubstring(part, sensitivity);
}

}  // namespace Catch
#else
#include <catch2/catch.hpp>
#endif
