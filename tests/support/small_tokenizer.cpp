#include "tests/support/small_tokenizer.hpp"

#include <array>
#include <random>

#include "data/files/files.hpp"
#include "data/tokenizers/tokenizer_training.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule::test {

std::string prose(unsigned seed, int sentences) {
  static constexpr std::array<const char*, 16> kWords{"the",  "whale",   "of",      "a",   "sea",  "and",
                                                      "ship", "old",     "white",   "man", "went", "down",
                                                      "with", "harpoon", "captain", "deep"};
  std::mt19937 random(seed);
  std::string text;
  for (int s = 0; s < sentences; ++s) {
    for (int w = 0; w < 8; ++w) text += std::string(w > 0 ? " " : "") + kWords.at(random() % kWords.size());
    text += ".\n";
  }
  return text;
}

const std::filesystem::path& small_tokenizer() {
  static const TempDir dir;
  static const std::filesystem::path path = [] {
    write_file(dir / "prose.txt", prose(1, 2000));
    TextSource source({dir / "prose.txt"}, DocumentUnit::file);
    std::filesystem::path file = dir / "tokenizer.model";
    write_file(file, train_tokenizer(source, 350).model);
    return file;
  }();
  return path;
}

}  // namespace granule::test
