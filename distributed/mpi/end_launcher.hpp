// mpirun waits for ever for a host that is frozen or cut off, also when the job has been aborted.
#pragma once

namespace granule {

/// How long a launcher has to end by itself once its job was aborted.
inline constexpr int kLauncherSeconds = 20;

/// Called by a rank whose job ends by abort. Where the job is on several hosts and this process is a child of
/// the launcher itself, a small process is left behind that kills the launcher (SIGKILL: Open MPI 4 crashes
/// of others in this state) if it is still there after kLauncherSeconds, and a line says so. Else nothing
/// happens.
void end_launcher_later();

}  // namespace granule
