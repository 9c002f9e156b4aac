// Whether the runs of a sweep can be compared: they read the same batches and start from the same values.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/sweep/cells/cells.hpp"

namespace granule {

struct Unpaired {
  const Cell* cell = nullptr;
  std::string reason;
};

/// Compares what the runs of the cells recorded at their start (apps/jobs/start_digests.hpp). Cells whose
/// keys of [data], batch size and length agree must have read the same batches. Cells of the same seed, type
/// and initializer_range must have equal values in tensors of equal name and shape. A complete run without a
/// record cannot be compared. Other runs without one have not begun, and are left out.
[[nodiscard]] std::vector<Unpaired> find_unpaired(const std::filesystem::path& sweep,
                                                  const std::vector<Cell>& cells);

}  // namespace granule
