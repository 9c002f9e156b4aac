#include "core/kernels/packed_gemm.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <new>

#include <hwy/targets.h>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Case {
  std::int64_t m, n, k;
  Transpose b = Transpose::yes, a = Transpose::no;
};

/// A case with every way in which its operands may be stored.
std::vector<Case> ways_of(Case c) {
  std::vector<Case> ways;
  for (const Transpose a : {Transpose::no, Transpose::yes})
    for (const Transpose b : {Transpose::no, Transpose::yes}) ways.push_back({c.m, c.n, c.k, b, a});
  return ways;
}

/// Element [row, column] of what is stored with this pitch, or of its transpose.
float element(const std::vector<float>& values, std::int64_t pitch, Transpose transpose, std::int64_t row,
              std::int64_t column) {
  return values[std::size_t(transpose == Transpose::yes ? column * pitch + row : row * pitch + column)];
}

std::vector<float> floats(std::int64_t count, std::uint64_t seed) {
  const Numbers numbers = normal_values(count, seed);
  return {numbers.begin(), numbers.end()};
}

/// The operands of a product and its result, inside a matrix that is four columns wider and filled with 7.
class Operands {
 public:
  explicit Operands(const Case& c)
      : c_(c), a_(floats(c.m * c.k, 1)), b_(floats(c.k * c.n, 2)), out_(std::size_t(c.m * (c.n + 4)), 7.0F) {}

  [[nodiscard]] MatrixIn<float> a() const { return {a_.data(), c_.a == Transpose::yes ? c_.m : c_.k, c_.a}; }
  [[nodiscard]] MatrixIn<float> b() const { return {b_.data(), c_.b == Transpose::yes ? c_.k : c_.n, c_.b}; }
  [[nodiscard]] MatrixOut<float> out(double beta) { return {out_.data(), c_.n + 4, beta}; }
  [[nodiscard]] float& at(std::int64_t i, std::int64_t j) { return out_[std::size_t(i * (c_.n + 4) + j)]; }

  /// The largest error relative to the sum of the |terms|, with `start` in place of C before.
  double error(double start) {
    double worst = 0.0;
    for (std::int64_t i = 0; i < c_.m; ++i) {
      for (std::int64_t j = 0; j < c_.n; ++j) {
        double sum = start, size = std::abs(start) + 1e-30;
        for (std::int64_t p = 0; p < c_.k; ++p) {
          const double term =
              double(element(a_, a().pitch, c_.a, i, p)) * double(element(b_, b().pitch, c_.b, p, j));
          sum += term;
          size += std::abs(term);
        }
        const double error = std::abs(double(at(i, j)) - sum) / size;
        worst = std::isnan(error) ? INFINITY : std::max(worst, error);
      }
    }
    return worst;
  }
  bool fence_intact() {
    for (std::int64_t i = 0; i < c_.m; ++i)
      for (std::int64_t j = c_.n; j < c_.n + 4; ++j)
        if (at(i, j) != 7.0F) return false;
    return true;
  }
  const std::vector<float>& values() const { return out_; }
  const Case& shape() const { return c_; }

 private:
  Case c_;
  std::vector<float> a_, b_, out_;
};

struct Free {
  void operator()(float* memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Aligned = std::unique_ptr<float, Free>;
Aligned aligned(std::int64_t count) {
  return Aligned(
      static_cast<float*>(::operator new(std::size_t(count) * sizeof(float), std::align_val_t(64))));
}

/// Packed B, one panel after the other.
class Packed {
 public:
  explicit Packed(const Operands& o) : n_(o.shape().n), k_(o.shape().k) {
    const std::int64_t n = o.shape().n, k = o.shape().k;
    memory_ = aligned(packed_size(n, k));
    for (std::int64_t j = 0; j < n; j += kPanelColumns)
      pack(n, k, o.b(), {j, std::min(j + kPanelColumns, n)}, memory_.get());
  }

  /// out = A B with some terms and columns.
  void multiply(Operands& o, Range terms, Range columns, double beta) const {
    const MatrixOut<float> out = o.out(beta);
    MatrixIn<float> a = o.a();
    a.data += a.transpose == Transpose::yes ? terms.begin * a.pitch : terms.begin;
    packed_gemm(o.shape().m, a, {memory_.get(), n_, k_}, terms, columns,
                {out.data + columns.begin, out.pitch, beta});
  }

 private:
  std::int64_t n_, k_;
  Aligned memory_;
};

/// out = A B + beta out with B's rows as unpacked_gemm reads them: aligned, and with NaN in the rest of their
/// last panel.
void multiply_unpacked(Operands& o, double beta) {
  const auto [m, n, k, b, a] = o.shape();
  const std::int64_t pitch = (n + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  const Aligned rows = aligned(k * pitch);
  std::fill_n(rows.get(), k * pitch, std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t p = 0; p < k; ++p) std::copy_n(o.b().data + p * n, n, rows.get() + p * pitch);
  unpacked_gemm(m, n, k, o.a(), {rows.get(), pitch}, o.out(beta));
}

// Its shapes have whole tiles and parts of them, and sums of one, two and three parts.
constexpr std::array<Case, 9> kCases{{{1, 1, 1},
                                      {3, 5, 7},
                                      {14, 32, 64},
                                      {15, 33, 3},
                                      {29, 48, 17},
                                      {40, 70, 513},
                                      {2, 100, 1300},
                                      {300, 17, 20},
                                      {13, 16, 512}}};

}  // namespace

TEST_CASE("packed_gemm equals plain loops for whole tiles, for parts of them and for long sums") {
  for (const Case& shape : kCases) {
    for (const Case& c : ways_of(shape)) {
      for (const double beta : {0.0, 1.0}) {
        CAPTURE(c.m, c.n, c.k, int(c.a), int(c.b), beta);
        Operands o(c);
        packing_gemm(c.m, c.n, c.k, o.a(), o.b(), o.out(beta));
        // Roundings of a sum in order grow like the square root of its length.
        CHECK(o.error(7.0 * beta) <= 6e-8 * (4.0 + std::sqrt(double(c.k))));
        CHECK(o.fence_intact());
        Operands again(c);
        Packed(again).multiply(again, {0, c.k}, {0, c.n}, beta);
        CHECK(again.values() == o.values());
        if (c.b == Transpose::yes) continue;
        Operands unpacked(c);
        multiply_unpacked(unpacked, beta);
        CHECK(unpacked.values() == o.values());
      }
    }
  }
}

TEST_CASE("packed_gemm: rows of A that are read where they lie give the bits of those that are copied") {
  for (const Case& shape : kCases) {
    for (const Case& c : ways_of(shape)) {
      const bool turned = c.a == Transpose::yes;
      const std::int64_t rows = turned ? c.k : c.m, columns = turned ? c.m : c.k;
      if (columns > kLeftPitch) continue;
      CAPTURE(c.m, c.n, c.k, turned);
      Operands copied(c), in_place(c);
      std::vector<float> a(std::size_t(rows * kLeftPitch), std::numeric_limits<float>::quiet_NaN());
      for (std::int64_t i = 0; i < rows; ++i)
        std::copy_n(copied.a().data + i * columns, columns, a.begin() + i * kLeftPitch);
      packing_gemm(c.m, c.n, c.k, copied.a(), copied.b(), copied.out(1.0));
      packing_gemm(c.m, c.n, c.k, {a.data(), kLeftPitch, c.a}, in_place.b(), in_place.out(1.0));
      CHECK(in_place.values() == copied.values());
    }
  }
}

TEST_CASE("packed_gemm: a range of columns has the bits that it has in the whole product") {
  const Case c{40, 170, 70};
  Operands whole(c), parts(c);
  const Packed packed(whole);
  packing_gemm(c.m, c.n, c.k, whole.a(), whole.b(), whole.out(0.0));
  packed.multiply(parts, {0, c.k}, {64, c.n}, 0.0);
  CHECK(parts.at(3, 63) == 7.0F);
  packed.multiply(parts, {0, c.k}, {0, 49}, 0.0);
  CHECK(parts.at(3, 49) == 7.0F);
  packed.multiply(parts, {0, c.k}, {32, 64}, 0.0);
  CHECK(parts.values() == whole.values());
}

TEST_CASE("packed_gemm: the sums of a range of terms, and of the others, make the whole sum") {
  const Case c{20, 50, 1200};
  Operands whole(c), parts(c);
  const Packed packed(parts);
  packing_gemm(c.m, c.n, c.k, whole.a(), whole.b(), whole.out(0.0));
  packed.multiply(parts, {0, 7}, {0, c.n}, 0.0);
  packed.multiply(parts, {7, 1001}, {0, c.n}, 1.0);
  packed.multiply(parts, {1001, c.k}, {0, c.n}, 1.0);
  CHECK(parts.error(0.0) <= 6e-8 * (4.0 + std::sqrt(double(c.k))));
}

TEST_CASE("packed_gemm: the bits of an element depend on its row, its column and k alone") {
  const Case c{310, 50, 700};
  Operands all(c), one(c);
  packing_gemm(c.m, c.n, c.k, all.a(), all.b(), all.out(0.0));
  for (std::int64_t i = 0; i < c.m; ++i)
    packing_gemm(1, c.n, c.k, {all.a().data + i * c.k, c.k}, all.b(), {&one.at(i, 0), c.n + 4});
  CHECK(one.values() == all.values());
  Operands turned({c.m, c.n, c.k, c.b, Transpose::yes}), turned_one(turned.shape());
  packing_gemm(c.m, c.n, c.k, turned.a(), turned.b(), turned.out(0.0));
  for (std::int64_t i = 0; i < c.m; ++i) {
    packing_gemm(1, c.n, c.k, {turned.a().data + i, c.m, Transpose::yes}, turned.b(),
                 {&turned_one.at(i, 0), c.n + 4});
  }
  CHECK(turned_one.values() == turned.values());
  Operands columns(c);
  for (std::int64_t j = 0; j < c.n; ++j)
    packing_gemm(c.m, 1, c.k, all.a(), {all.b().data + j * c.k, c.k, Transpose::yes},
                 {&columns.at(0, j), c.n + 4});
  CHECK(columns.values() == all.values());
}

namespace {

/// Kernels use no better instruction set than the given one for as long as it lives. 0: the best one.
class Limited {
 public:
  explicit Limited(std::int64_t target) { use(target == 0 ? 0 : target - 1); }
  ~Limited() { use(0); }
  Limited(const Limited&) = delete;
  Limited& operator=(const Limited&) = delete;

 private:
  static void use(std::int64_t disabled) {
    hwy::DisableTargets(disabled);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

}  // namespace

TEST_CASE("packed_gemm: every instruction set computes it, and those with multiply-adds have the same bits") {
  for (const Case& shape : kCases) {
    for (const Case& c : ways_of(shape)) {
      CAPTURE(c.m, c.n, c.k, int(c.a), int(c.b));
      Operands best(c);
      packing_gemm(c.m, c.n, c.k, best.a(), best.b(), best.out(1.0));
      for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        CAPTURE(hwy::TargetName(target));
        const Limited limited(target);
        Operands other(c), packed(c);
        packing_gemm(c.m, c.n, c.k, other.a(), other.b(), other.out(1.0));
        Packed(packed).multiply(packed, {0, c.k}, {0, c.n}, 1.0);
        CHECK(packed.values() == other.values());
        if (c.b == Transpose::no) {
          Operands unpacked(c);
          multiply_unpacked(unpacked, 1.0);
          CHECK(unpacked.values() == other.values());
        }
        CHECK(other.error(7.0) <= 6e-8 * (4.0 + std::sqrt(double(c.k))));
        if (packing_is_fast()) CHECK(other.values() == best.values());
      }
    }
  }
}
