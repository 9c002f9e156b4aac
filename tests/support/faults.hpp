// Whether an access ends with a segmentation fault, without ending the test.
#pragma once
#include <csetjmp>
#include <csignal>

namespace granule::test {

// A sanitizer has its own handler of this signal.
inline sigjmp_buf touched;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

template <class Access>
bool faults(const Access& access) {
  struct sigaction before {};
  struct sigaction handler {};
  handler.sa_handler = [](int) { siglongjmp(touched, 1); };
  sigaction(SIGSEGV, &handler, &before);
  const bool faulted = sigsetjmp(touched, 1) != 0;
  if (!faulted) access();
  sigaction(SIGSEGV, &before, nullptr);
  return faulted;
}

}  // namespace granule::test
