// Catch2, version 2 (Debian 12) or 3 (Debian 13), under the names of version 2: tests include this header
// only.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <string>

#include <catch2/catch_all.hpp>

using Catch::Approx;

namespace Catch {

using Matchers::EndsWith;
using Matchers::StartsWith;
/// Version 3 means an element of a range by this name.
[[nodiscard]] inline auto Contains(const std::string& part, CaseSensitive sensitivity = CaseSensitive::Yes) {
  return Matchers::ContainsSubstring(part, sensitivity);
}

}  // namespace Catch
#else
#include <catch2/catch.hpp>
#endif
