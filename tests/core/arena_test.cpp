#include "core/arena.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("arena: an arena hands out aligned blocks that do not overlap") {
  Arena arena(1 << 20);
  RandomStream random(1, "arena");
  std::vector<std::pair<std::byte*, std::int64_t>> blocks;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    if (!blocks.empty() && (random.uniform(2 * i) < 0.5 || blocks.size() > 40)) {
      const auto victim = static_cast<std::ptrdiff_t>(random.below(blocks.size(), 2 * i + 1));
      auto& [data, bytes] = blocks[static_cast<std::size_t>(victim)];
      // A block must still contain what was written into it, whatever blocks were taken and given back next
      // to it.
      const std::byte mark = data[0];
      CHECK(std::all_of(data, data + bytes, [&](std::byte b) { return b == mark; }));
      arena.release(data, bytes);
      blocks.erase(blocks.begin() + victim);
      continue;
    }
    const auto bytes = static_cast<std::int64_t>(1 + random.below(9000, 2 * i + 1));
    std::byte* const data = arena.allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0);
    std::memset(data, static_cast<int>(i % 251), static_cast<std::size_t>(bytes));
    blocks.emplace_back(data, bytes);
  }
  for (const auto& [data, bytes] : blocks) arena.release(data, bytes);
  CHECK(arena.in_use() == 0);
}

TEST_CASE("arena: released neighbours merge, so the whole arena can be had again") {
  constexpr std::int64_t kBlock = 1024;
  Arena arena(4 * kBlock);
  // Every order in which four neighbours can be given back.
  std::vector<std::size_t> order{0, 1, 2, 3};
  do {
    std::vector<std::byte*> blocks;
    for (int i = 0; i < 4; ++i) blocks.push_back(arena.allocate(kBlock));
    for (const std::size_t i : order) arena.release(blocks[i], kBlock);
    std::byte* const whole = arena.allocate(4 * kBlock);
    arena.release(whole, 4 * kBlock);
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(arena.in_use() == 0);
  CHECK(arena.high_water() == 4 * kBlock);
}

TEST_CASE("arena: a block goes into the smallest hole it fits, at the lowest address") {
  Arena arena(1 << 16);
  std::byte* const large = arena.allocate(4096);
  std::byte* const keep1 = arena.allocate(256);
  std::byte* const small1 = arena.allocate(512);
  std::byte* const keep2 = arena.allocate(256);
  std::byte* const small2 = arena.allocate(512);
  std::byte* const keep3 = arena.allocate(256);
  arena.release(large, 4096);
  arena.release(small2, 512);
  arena.release(small1, 512);
  CHECK(arena.allocate(300) == small1);
  CHECK(arena.allocate(512) == small2);
  CHECK(arena.allocate(512) == large);
  CHECK(arena.high_water() == 4096 + 2 * 512 + 3 * 256);
  CHECK(keep1 < keep2);
  CHECK(keep2 < keep3);
}

TEST_CASE("arena: the high-water mark is what was ever in use at once when nothing fragments") {
  Arena arena(1 << 16);
  std::byte* const a = arena.allocate(1000);
  std::byte* const b = arena.allocate(1);
  CHECK(arena.in_use() == 1024 + 256);
  arena.release(b, 1);
  arena.release(a, 1000);
  for (int step = 0; step < 10; ++step) arena.release(arena.allocate(700), 700);
  CHECK(arena.in_use() == 0);
  CHECK(arena.high_water() == 1280);
}

TEST_CASE("arena: an exhausted arena is an out-of-memory error with exit code 71 and stays usable") {
  Arena arena(4096);
  std::byte* const data = arena.allocate(2048);
  try {
    static_cast<void>(arena.allocate(2049));
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::out_of_memory);
    CHECK(static_cast<int>(error.code()) == 71);
    CHECK_THAT(error.what(), Catch::Contains("out of memory") && Catch::Contains("micro_batch_size"));
  }
  std::byte* const rest = arena.allocate(2048);
  arena.release(rest, 2048);
  arena.release(data, 2048);
  CHECK(arena.in_use() == 0);
}

TEST_CASE("arena: a poisoned arena starts every block as NaN, also one that was used before") {
  Arena arena(1 << 16, Poison::yes);
  for (int round = 0; round < 2; ++round) {
    std::byte* const data = arena.allocate(400);
    auto* const numbers = reinterpret_cast<float*>(data);
    CHECK(std::all_of(numbers, numbers + 100, [](float x) { return std::isnan(x); }));
    std::fill_n(numbers, 100, 1.0F);
    arena.release(data, 400);
  }
  CHECK(arena.damaged_blocks() == 0);
}

#if !defined(__SANITIZE_ADDRESS__)  // the address sanitizer ends the program at the write itself
TEST_CASE("arena: a poisoned arena counts blocks that were written past either end") {
  Arena arena(1 << 16, Poison::yes);
  std::byte* data = arena.allocate(401);
  data[401] = std::byte{0};
  arena.release(data, 401);
  CHECK(arena.damaged_blocks() == 1);
  data = arena.allocate(401);
  data[-1] = std::byte{0};
  arena.release(data, 401);
  CHECK(arena.damaged_blocks() == 2);
  data = arena.allocate(401);
  data[400] = data[0] = std::byte{0};
  arena.release(data, 401);
  CHECK(arena.damaged_blocks() == 2);
}
#endif

TEST_CASE("arena: an arena without room is refused") {
  CHECK_THROWS_AS(Arena(0), Error);
  CHECK_THROWS_AS(Arena(kAlignment - 1), Error);
}
