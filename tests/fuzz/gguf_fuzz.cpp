#include <vector>

#include "data/gguf/gguf_reader.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {

void read(std::span<const std::byte> bytes) {
  const GgufContent content = parse_gguf(bytes, "input");
  for (const GgufView& tensor : content.tensors) {
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    read_floats(tensor, 0, values);
  }
}

}  // namespace granule::fuzz
