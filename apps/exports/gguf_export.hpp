// Exports of one GGUF file.
#pragma once
#include "apps/exports/export_request.hpp"
#include "apps/models/model_files.hpp"

namespace granule {

ExportResult export_gguf(const ExportRequest& request, const ModelFiles& files);

}  // namespace granule
