// The .idx file of Megatron's indexed datasets, version 1. It has the type of the ids in the .bin, the length
// and place of each sequence, and the sequences of each document. Source:
// megatron/core/datasets/indexed_dataset.py of NVIDIA/Megatron-LM.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/imports/token_file.hpp"

namespace granule {

struct MegatronIndex {
  TokenType type = TokenType::u16;
  std::vector<std::int64_t> document_bounds;  ///< n + 1 rising token numbers in the .bin, from 0 to its end
};

/// `file` is the whole file. Errors are user errors and name `path`. The sequences must be in the .bin one
/// after the other, and all of them must be in documents.
[[nodiscard]] MegatronIndex read_megatron_index(std::span<const std::byte> file,
                                                const std::filesystem::path& path);

}  // namespace granule
