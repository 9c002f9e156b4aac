#include "tests/support/shard_files.hpp"

#include "core/error.hpp"
#include "data/shards/shard.hpp"
#include "tests/support/catch.hpp"

namespace granule::test {

void write_shard(const std::filesystem::path& path, const std::vector<std::vector<std::int32_t>>& documents,
                 std::int64_t vocab_size) {
  ShardWriter writer({vocab_size, 1, 2, ""}, Hdf5Layout::contiguous);
  for (const auto& ids : documents) writer.add_document(ids, 3 * std::ssize(ids));
  writer.write(path);
}

std::vector<std::vector<std::int32_t>> patterned_documents(std::int64_t count, std::int64_t length,
                                                           std::int64_t vocab_size) {
  std::vector<std::vector<std::int32_t>> documents(static_cast<std::size_t>(count));
  for (std::int64_t d = 0; d < count; ++d) {
    for (std::int64_t t = 0; t < length; ++t) {
      documents[static_cast<std::size_t>(d)].push_back(
          static_cast<std::int32_t>((31 * d + 7 * t) % vocab_size));
    }
  }
  return documents;
}

std::string user_error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.code() == ExitCode::user);
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace granule::test
