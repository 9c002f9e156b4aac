#include "data/files/digest.hpp"

#include <fstream>
#include <string_view>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

namespace {
std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
}  // namespace

TEST_CASE("digest: digests equal the published test vectors, of bytes and of files") {
  // FIPS 180-2, appendix B.1
  const char* const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(granule::sha256_of(bytes("abc")) == abc);
  const granule::test::TempDir dir;
  std::ofstream(dir / "abc") << "abc";
  CHECK(granule::sha256_of_file(dir / "abc") == abc);
  CHECK(granule::xxh3_of_file(dir / "abc") == granule::xxh3_of(bytes("abc")));
  CHECK(granule::xxh3_of(bytes("")) == "2d06800538d394c2");  // XXH3_64bits of nothing, seed 0
  CHECK_THROWS_AS(granule::sha256_of_file(dir / "absent"), granule::Error);
}
