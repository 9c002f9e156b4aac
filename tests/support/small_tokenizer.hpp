// A SentencePiece vocabulary for tests. Each process trains it once, in well under a second.
#pragma once
#include <filesystem>
#include <string>

namespace granule::test {

/// Text like English, in lines, with about `sentences` × 40 bytes. It is the same for the same seed.
[[nodiscard]] std::string prose(unsigned seed, int sentences);

/// A `.model` of 350 pieces that is trained on such prose. It needs a build with SentencePiece.
[[nodiscard]] const std::filesystem::path& small_tokenizer();

}  // namespace granule::test
