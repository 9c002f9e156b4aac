// A SentencePiece vocabulary for tests, trained once a process in well under a second.
#pragma once
#include <filesystem>
#include <string>

namespace granule::test {

/// English-like text of about `sentences` × 40 bytes in lines, the same for the same seed.
[[nodiscard]] std::string prose(unsigned seed, int sentences);

/// A `.model` of 350 pieces trained on such prose. Needs a build with SentencePiece.
[[nodiscard]] const std::filesystem::path& small_tokenizer();

}  // namespace granule::test
