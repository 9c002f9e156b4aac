#include "apps/exports/export_request.hpp"

#include "core/error.hpp"

namespace granule {

std::string_view name_of(ExportFormat format) {
  switch (format) {
    case ExportFormat::hf:
      return "hf";
    case ExportFormat::qwen2moe:
      return "hf-qwen2moe";
    case ExportFormat::gguf:
      return "gguf";
  }
  return "?";
}

std::string_view name_of(StoredType type) {
  return type == StoredType::q8_0 ? "q8_0" : name_of(dtype_of_stored(type));
}

DType dtype_of_stored(StoredType type) {
  GRANULE_CHECK(type != StoredType::q8_0, "export: q8_0 is no type of single elements");
  if (type == StoredType::f32) return DType::f32;
  return type == StoredType::f16 ? DType::f16 : DType::bf16;
}

}  // namespace granule
