// mpirun that stays after its job was aborted would wait for ever. So it is killed. On several hosts, it
// waits for one that is frozen or cut off. On one host, Open MPI 4.1.4 sometimes locks itself up.
#pragma once

namespace granule {

/// How long a launcher may take to end by itself after its job was aborted.
inline constexpr int kLauncherSeconds = 20;

/// A rank whose job ends by abort calls it. It acts if mpirun has started several ranks, and this one on its
/// own host. Then a small process kills mpirun if it is still there after `seconds`, and says so on mpirun's
/// stderr. On several hosts this is announced, because it is likely there. On one host, mpirun must have
/// waited for a lock of its own all that time. So it may wait for the reader of its output. The small process
/// ends with mpirun, and has none of the job's streams. The signal is SIGKILL, because Open MPI 4 crashes on
/// others in this state.
void end_launcher_later(int seconds = kLauncherSeconds);

}  // namespace granule
