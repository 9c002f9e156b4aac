#include "core/interruption.hpp"

#include <utility>

#include "core/error.hpp"

namespace granule {
namespace {

thread_local const std::function<int()>* asked = nullptr;

}  // namespace

Interruptible::Interruptible(std::function<int()> signal) : signal_(std::move(signal)) {
  GRANULE_CHECK(asked == nullptr, "the work of this thread may be interrupted already");
  asked = &signal_;
}

Interruptible::~Interruptible() {
  asked = nullptr;
}

void interruption_point() {
  if (asked == nullptr) return;
  if (const int signal = (*asked)(); signal != 0) throw Interrupted{signal};
}

}  // namespace granule
