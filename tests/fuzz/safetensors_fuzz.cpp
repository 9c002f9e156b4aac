#include "data/models/safetensors.hpp"
#include "tests/fuzz/reader.hpp"

namespace granule::fuzz {

void read(std::span<const std::byte> bytes) {
  const SafetensorsContent content = parse_safetensors(bytes, "input");
  unsigned sum = 0;  // every byte of a tensor can be read
  for (const NamedTensor& tensor : content.tensors) {
    for (const std::byte byte : tensor.view.bytes) sum += std::to_integer<unsigned>(byte);
  }
  asm volatile("" : : "r"(sum));  // so that the compiler leaves the loop in
}

}  // namespace granule::fuzz
