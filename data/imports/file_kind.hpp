// What a file is that was taken for a token file: kinds that are known by their first bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace granule {

/// So many of a file's first bytes are looked at.
inline constexpr std::size_t kFileHead = 4096;

/// Throws a user error that names the kind and says what to do, where `head`, the beginning of a file of
/// `size` bytes, is that of an archive, an array or a container. Token files without a header could by chance
/// begin like one, but no two of their first ids are likely to.
void refuse_known_kinds(std::span<const std::byte> head, std::int64_t size,
                        const std::filesystem::path& path);

/// The same for files of llm.c, of any version.
void refuse_llmc(std::span<const std::byte> head, const std::filesystem::path& path);

/// The same for a file that begins as a text does: every byte of ids below 65536 could be a letter, but no
/// tokenizer gives only such ids.
void refuse_text(std::span<const std::byte> head, const std::filesystem::path& path);

/// The same for ids of 32 or 64 bits that were taken for 16: `ids` are the first of the file, and every
/// second is the upper half of one.
void refuse_wider_ids(std::span<const std::int64_t> ids, const std::filesystem::path& path);

}  // namespace granule
