#include "core/host_name.hpp"

#include <array>
#include <cstdlib>

#include <unistd.h>

namespace granule {

std::string host_name() {
  if (const char* const named = std::getenv("GRANULE_HOST_NAME"); named != nullptr && *named != '\0')
    return named;
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

}  // namespace granule
