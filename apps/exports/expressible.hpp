// Which models a format can express. A model that another program would compute in another way is refused.
#pragma once
#include <string>

#include "apps/exports/export_request.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule {

/// Throws a user error that names the key, and the format that has it. `where` is the model.
void require_expressible(ExportFormat format, const ModelConfig& model, const MoeConfig& moe,
                         const std::string& where);

}  // namespace granule
