// Writes a model for other programs.
#pragma once
#include "apps/exports/export_request.hpp"

namespace granule {

/// The output appears complete and verified, or not at all. Throws user errors for models that the format
/// cannot express and for places that cannot be written.
ExportResult export_model(const ExportRequest& request);

}  // namespace granule
