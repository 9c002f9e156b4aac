// Exports of the two Hugging Face formats.
#pragma once
#include "apps/exports/export_request.hpp"
#include "apps/models/model_files.hpp"

namespace granule {

ExportResult export_directory(const ExportRequest& request, const ModelFiles& files);

}  // namespace granule
