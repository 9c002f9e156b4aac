// Digests of files and bytes: SHA-256 for provenance (OpenSSL), XXH3 to detect damage (xxHash).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace granule {

/// Lower-case hexadecimal SHA-256 of a whole file. Throws a user error when it cannot be read.
[[nodiscard]] std::string sha256_of_file(const std::filesystem::path& path);
[[nodiscard]] std::string sha256_of(std::span<const std::byte> bytes);
/// 16 lower-case hexadecimal digits.
[[nodiscard]] std::string xxh3_of(std::span<const std::byte> bytes);
[[nodiscard]] std::string xxh3_of_file(const std::filesystem::path& path);

}  // namespace granule
