// Models with random weights as Hugging Face directories, for tests that need many kinds of them quickly.
#pragma once
#include <filesystem>

#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule::test {

struct MadeModel {
  ModelConfig model;
  MoeConfig moe;
  bool output_bias = true;  ///< if there are biases, whether that of o_proj differs from zero
};

/// 3 layers of width 64 with 4 heads of which 2 have keys, the first layer dense. 6 experts of width 32, 2 of
/// them for each token, and 2 shared. The vocabulary has more entries than small_tokenizer() has pieces.
[[nodiscard]] MadeModel made_model();

/// Writes the model, with the tokenizer of small_tokenizer() if there is one in this build. No tensor is zero
/// or one throughout, biases and norms included.
void write_model(const std::filesystem::path& directory, const MadeModel& made);

}  // namespace granule::test
