// Digests of files and bytes: SHA-256 for provenance (OpenSSL), XXH3 to detect damage (xxHash).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

struct XXH3_state_s;

namespace granule {

/// Lower-case hexadecimal SHA-256 of a whole file. Throws a user error if it cannot be read.
[[nodiscard]] std::string sha256_of_file(const std::filesystem::path& path);
[[nodiscard]] std::string sha256_of(std::span<const std::byte> bytes);
/// 16 lower-case hexadecimal digits.
[[nodiscard]] std::string xxh3_of(std::span<const std::byte> bytes);
[[nodiscard]] std::string xxh3_of_file(const std::filesystem::path& path);

/// XXH3 of bytes that come in pieces.
class Xxh3 {
 public:
  Xxh3();
  void add(std::span<const std::byte> bytes);
  [[nodiscard]] std::string finish() const;  ///< as xxh3_of; more bytes may follow

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace granule
