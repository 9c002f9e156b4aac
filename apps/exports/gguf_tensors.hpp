// The tensors of a model under the names, and in the order of rows, that llama.cpp expects. A model with
// experts has the architecture `deepseek` there, and one without has `llama`.
#pragma once
#include <vector>

#include "apps/exports/export_request.hpp"
#include "apps/exports/source_tensors.hpp"
#include "data/gguf/gguf_writer.hpp"

namespace granule {

/// Vectors and the router are float32, as llama.cpp wants them. Matrices have the type `type`. If the rows of
/// a matrix are no multiple of 32, q8_0 cannot hold it, and it is f16.
///
/// llama.cpp rotates neighbouring columns of a head, (0, 1), (2, 3), …, and this program rotates columns i
/// and i + D/2. So rows 2i and 2i + 1 of a head in the file are our rows i and i + D/2 of q and k.
///
/// llama.cpp always adds a shared expert and has a head of its own. A model without them gets an expert of
/// zeros, and a copy of its embedding.
[[nodiscard]] std::vector<GgufTensor> gguf_tensors(const SourceTensors& source, StoredType type);

}  // namespace granule
