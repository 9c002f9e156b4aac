// Small data sets for tests.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace granule::test {

/// One shard of one document per entry, its bytes three times its tokens, without a tokenizer.
void write_shard(const std::filesystem::path& path, const std::vector<std::vector<std::int32_t>>& documents,
                 std::int64_t vocab_size);

/// `count` documents of `length` tokens: token t of document d is (31 d + 7 t) mod vocab_size.
[[nodiscard]] std::vector<std::vector<std::int32_t>> patterned_documents(std::int64_t count,
                                                                         std::int64_t length,
                                                                         std::int64_t vocab_size);

/// The message of the user error (exit code 2) that `action` throws; fails the test when it throws anything
/// else.
[[nodiscard]] std::string user_error_of(const std::function<void()>& action);

}  // namespace granule::test
