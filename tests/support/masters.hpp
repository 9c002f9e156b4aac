// What the weights of a checkpoint tell of the run that wrote it.
#pragma once
#include <filesystem>

namespace granule::test {

/// Checks that the checkpoint of a run in bf16 has masters in float32, and not the values that they are
/// rounded to.
void require_masters(const std::filesystem::path& checkpoint);

}  // namespace granule::test
