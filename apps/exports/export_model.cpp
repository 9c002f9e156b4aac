#include "apps/exports/export_model.hpp"

#include "apps/exports/directory_export.hpp"
#include "apps/exports/expressible.hpp"
#include "apps/exports/gguf_export.hpp"
#include "core/error.hpp"

namespace granule {

ExportResult export_model(const ExportRequest& request) {
  if (request.type == StoredType::q8_0 && request.format != ExportFormat::gguf)
    user_error("q8_0 is a type of GGUF files", "--dtype", "use f32, f16 or bf16, or --format gguf");
  const ModelFiles files = open_model(request.model);
  require_expressible(request.format, files.config().model, files.config().moe, files.path().string());
  return request.format == ExportFormat::gguf ? export_gguf(request, files)
                                              : export_directory(request, files);
}

}  // namespace granule
