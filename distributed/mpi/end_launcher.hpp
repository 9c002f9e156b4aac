// mpirun waits for ever for a host that is frozen or cut off, even if the job has been aborted. So it is
// killed.
#pragma once

namespace granule {

/// How long a launcher may take to end by itself after its job was aborted.
inline constexpr int kLauncherSeconds = 20;

/// A rank whose job ends by abort calls it. It acts only if the job is on several hosts and this process is a
/// child of the launcher itself. Then it starts a small process that kills the launcher if it is still there
/// after kLauncherSeconds, and prints a line. The signal is SIGKILL, because Open MPI 4 crashes on others in
/// this state.
void end_launcher_later();

}  // namespace granule
