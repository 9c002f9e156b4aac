// Whether something ends the process, as a sanitizer does when it finds a mistake. It happens in a child, so
// the test goes on.
#pragma once
#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

namespace granule::test {

template <class Action>
bool ends_process(const Action& action) {
  const pid_t child = fork();
  if (child == 0) {
    action();
    _exit(EXIT_SUCCESS);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status != 0;
}

}  // namespace granule::test
