// The function that libFuzzer calls with every input.
#include "core/error.hpp"
#include "tests/fuzz/reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    granule::fuzz::read(std::as_bytes(std::span(data, size)));
  } catch (const granule::Error& error) {
    if (error.code() != granule::ExitCode::user) throw;
  }
  return 0;
}
