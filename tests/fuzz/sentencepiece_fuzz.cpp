#include "data/tokenizers/sentencepiece_tokenizer.hpp"
#include "tests/fuzz/memory_file.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {

void read(std::span<const std::byte> bytes) {
  const MemoryFile file(bytes);
  const auto tokenizer = open_sentencepiece(file.path());
  const auto ids = tokenizer->encode("The 2 caf\u00e9s, it's\u00a0\u4e2d\u6587 \U0001f40b\n\n  end\t");
  static_cast<void>(tokenizer->decode(ids));
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id) static_cast<void>(tokenizer->token_bytes(id));
}

}  // namespace granule::fuzz
