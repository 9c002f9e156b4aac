// A mapped file that can no longer be read: it was cut short, or its disk failed.
#pragma once

namespace granule {

/// From now on SIGBUS in a mapped file ends the program with one line that names the file, and exit code 74.
/// At any other address it ends the program as before.
void name_lost_files();

}  // namespace granule
