#include "core/profile.hpp"

namespace granule {

void Profile::add(std::string_view phase, double seconds) {
  const auto found = seconds_.find(phase);
  if (found != seconds_.end()) {
    found->second += seconds;
  } else {
    seconds_.emplace(phase, seconds);
  }
}

}  // namespace granule
