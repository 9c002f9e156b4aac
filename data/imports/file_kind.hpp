// Recognises, by their first bytes, files that are not token files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace granule {

/// This many bytes of a file's beginning are checked.
inline constexpr std::size_t kFileHead = 4096;

/// `head` is the beginning of a file of `size` bytes. If it is that of an archive, an array or a container,
/// it throws a user error that names the kind and gives advice. A token file without a header could begin
/// like one by chance, but two such first ids are unlikely.
void refuse_known_kinds(std::span<const std::byte> head, std::int64_t size,
                        const std::filesystem::path& path);

/// The same for files of llm.c, in any version.
void refuse_llmc(std::span<const std::byte> head, const std::filesystem::path& path);

/// The same for a file that begins as a text does. Every byte of ids below 65536 could be a letter, but no
/// tokenizer gives only such ids.
void refuse_text(std::span<const std::byte> head, const std::filesystem::path& path);

/// The same for ids of 32 or 64 bits that are read as 16. `ids` are the first of the file, and every second
/// one is then the upper half of an id.
void refuse_wider_ids(std::span<const std::int64_t> ids, const std::filesystem::path& path);

}  // namespace granule
