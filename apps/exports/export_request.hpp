// What `granule export` is asked for, and what it reports.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace granule {

/// hf: DeepseekForCausalLM. qwen2moe: Qwen2MoeForCausalLM. gguf: one file for llama.cpp.
enum class ExportFormat : std::uint8_t { hf, qwen2moe, gguf };
[[nodiscard]] std::string_view name_of(ExportFormat format);  ///< as on the command line

/// The type in which weights are stored. q8_0 is for GGUF alone.
enum class StoredType : std::uint8_t { f32, f16, bf16, q8_0 };
[[nodiscard]] std::string_view name_of(StoredType type);
/// The element type. q8_0 has none.
[[nodiscard]] DType dtype_of_stored(StoredType type);

enum class ReadBackCheck : std::uint8_t { yes, no };

struct ExportRequest {
  std::filesystem::path model, out;
  ExportFormat format = ExportFormat::hf;
  StoredType type = StoredType::f32;
  ReadBackCheck check = ReadBackCheck::yes;
};

struct ExportResult {
  std::size_t tensors = 0;
  bool has_tokenizer = false;
  /// How far the logits of the export are from the model's. 0 means equal.
  double difference = 0.0;
  std::vector<std::string> left{};   ///< names of files that were not copied
  std::vector<std::string> notes{};  ///< what the user should know about the files
};

}  // namespace granule
