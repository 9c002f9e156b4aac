#include "core/transfer_pieces.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("transfer_pieces: every element arrives once and in its place, whatever the length") {
  constexpr std::int64_t kPiece = kTransferPiece / std::int64_t{sizeof(double)};
  TestContext context;
  for (const std::int64_t n : {std::int64_t{0}, std::int64_t{1}, kPiece, kPiece + 1, 2 * kPiece + 3}) {
    CAPTURE(n);
    const Tensor tensor = Tensor::empty(context, {n}, DType::f64);
    std::vector<std::int64_t> begins;
    write_in_pieces<double>(tensor, [&](std::int64_t begin, std::span<double> piece) {
      begins.push_back(begin);
      CHECK(std::ssize(piece) <= kPiece);
      for (double& value : piece) value = static_cast<double>(begin++);
    });
    CHECK(std::ssize(begins) == (n + kPiece - 1) / kPiece);
    std::vector<std::byte> read;
    read_in_pieces(tensor, [&](std::span<const std::byte> bytes) {
      CHECK(std::ssize(bytes) <= kTransferPiece);
      read.insert(read.end(), bytes.begin(), bytes.end());
    });
    REQUIRE(std::ssize(read) == tensor.bytes());
    const std::span<const double> values(reinterpret_cast<const double*>(read.data()),
                                         static_cast<std::size_t>(n));
    bool all = true;
    for (std::size_t i = 0; i < values.size(); ++i) all = all && values[i] == static_cast<double>(i);
    CHECK(all);
  }
}

TEST_CASE("transfer_pieces: the pieces of a tensor of several dimensions are flat") {
  TestContext context;
  const Tensor tensor = Tensor::empty(context, {2, 3}, DType::i32);
  write_in_pieces<std::int32_t>(tensor, [](std::int64_t begin, std::span<std::int32_t> piece) {
    for (std::int32_t& value : piece) value = static_cast<std::int32_t>(begin++);
  });
  CHECK(same_bits(tensor, ids_of(context, {2, 3}, std::vector<std::int32_t>{0, 1, 2, 3, 4, 5})));
}
