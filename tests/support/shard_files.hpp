// Small data sets for tests.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace granule::test {

/// Writes one shard with the given documents and without a tokenizer. A document has three times as many
/// bytes as tokens.
void write_shard(const std::filesystem::path& path, const std::vector<std::vector<std::int32_t>>& documents,
                 std::int64_t vocab_size);

/// Makes `count` documents of `length` tokens. Token t of document d is (31 d + 7 t) mod vocab_size.
[[nodiscard]] std::vector<std::vector<std::int32_t>> patterned_documents(std::int64_t count,
                                                                         std::int64_t length,
                                                                         std::int64_t vocab_size);

/// The message of the user error (exit code 2) that `action` throws. The test fails if it throws anything
/// else.
[[nodiscard]] std::string user_error_of(const std::function<void()>& action);

}  // namespace granule::test
