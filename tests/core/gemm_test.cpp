#include "core/kernels/gemm.hpp"

#include <algorithm>
#include <cmath>

#include "core/kernels/matmul.hpp"
#include "core/kernels/packed_gemm.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Case {
  std::int64_t m, n, k;
  Transpose a, b;
  std::int64_t extra_pitch;  // of every operand
};

/// The operands are inside wider matrices of NaN, and the result is inside a fenced one.
template <class T, class Out = T>
class Product {
 public:
  Product(Context& context, const Case& c, double beta)
      : c_(c),
        a_pitch_((c.a == Transpose::yes ? c.m : c.k) + c.extra_pitch),
        b_pitch_((c.b == Transpose::yes ? c.k : c.n) + c.extra_pitch),
        c_pitch_(c.n + c.extra_pitch),
        a_(filled(context, c.a == Transpose::yes ? c.k : c.m, a_pitch_, 1)),
        b_(filled(context, c.b == Transpose::yes ? c.n : c.k, b_pitch_, 2)),
        out_(context, {c.m * c_pitch_}, dtype_of<Out>) {
    if (beta == 1.0) {
      for (std::int64_t i = 0; i < c.m; ++i)
        for (std::int64_t j = 0; j < c.n; ++j) at(i, j) = Out(static_cast<Wide<Out>>((i - j) % 256));
    }
    const MatrixIn<T> left{a_.data<const T>(), a_pitch_, c.a}, right{b_.data<const T>(), b_pitch_, c.b};
    gemm<T, Out>(context.pool(), c.m, c.n, c.k, left, right, {out_.tensor().data<Out>(), c_pitch_, beta});
  }

  /// The largest |C - plain loops|, relative to the sum of the |terms|.
  double error(double beta) {
    double worst = 0.0;
    for (std::int64_t i = 0; i < c_.m; ++i) {
      for (std::int64_t j = 0; j < c_.n; ++j) {
        double sum = beta * static_cast<double>((i - j) % 256), size = std::abs(sum) + 1e-30;
        for (std::int64_t p = 0; p < c_.k; ++p) {
          const double term = element(a_, a_pitch_, c_.a, i, p) * element(b_, b_pitch_, c_.b, p, j);
          sum += term;
          size += std::abs(term);
        }
        const double difference = std::abs(static_cast<double>(widened(at(i, j))) - sum) / size;
        worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
      }
    }
    return worst;
  }
  /// Whether nothing was written between the rows of C or around it.
  bool fences_intact() {
    bool intact = out_.intact();
    for (std::int64_t i = 0; i < c_.m; ++i)
      for (std::int64_t j = c_.n; j < c_pitch_; ++j) intact &= std::isnan(widened(at(i, j)));
    return intact;
  }
  const Tensor& result() const { return out_.tensor(); }

 private:
  static Tensor filled(Context& context, std::int64_t rows, std::int64_t pitch, std::uint64_t seed) {
    return tensor_of(context, {rows * pitch}, dtype_of<T>, normal_values(rows * pitch, seed));
  }
  static double element(const Tensor& x, std::int64_t pitch, Transpose t, std::int64_t i, std::int64_t j) {
    return static_cast<double>(
        widened(x.data<const T>()[t == Transpose::yes ? j * pitch + i : i * pitch + j]));
  }
  Out& at(std::int64_t i, std::int64_t j) { return out_.tensor().data<Out>()[i * c_pitch_ + j]; }

  Case c_;
  std::int64_t a_pitch_, b_pitch_, c_pitch_;
  Tensor a_, b_;
  Fenced out_;
};

template <class T, class Out = T>
void check(const Case& c) {
  // There are at most k ≤ 65 roundings, and a few in practice. For f64, those of the loops are added. In bf16
  // the result is rounded, by 2^-8 at most.
  const double tolerance = sizeof(Out) == 2 ? 4e-3 : sizeof(Out) == 4 ? 6e-7 : 4e-15;
  for (const double beta : {0.0, 1.0}) {
    INFO(fmt::format("{} into {} m={} n={} k={} {}{} pitch +{} beta {}", name_of(dtype_of<T>),
                     name_of(dtype_of<Out>), c.m, c.n, c.k, c.a == Transpose::yes ? 'T' : 'N',
                     c.b == Transpose::yes ? 'T' : 'N', c.extra_pitch, beta));
    Context context;
    Product<T, Out> one(context, c, beta);  // with beta 0, the result starts as NaN
    CHECK(one.error(beta) <= tolerance);
    CHECK(one.fences_intact());
    for (const int threads : {2, 3}) {
      Context more({.threads = threads});
      CHECK(same_bits(Product<T, Out>(more, c, beta).result(), one.result()));
    }
  }
}

}  // namespace

TEST_CASE("gemm equals plain loops for every transpose, pitch, beta and shape, on any number of threads") {
  for (const Transpose a : {Transpose::no, Transpose::yes}) {
    for (const Transpose b : {Transpose::no, Transpose::yes}) {
      for (const std::int64_t extra : {0, 5}) {
        for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 1, 1},
                                      {3, 5, 7},
                                      {17, 1, 33},
                                      {1, 40, 3},
                                      {1, 70, 300},
                                      {70, 130, 65},
                                      {300, 90, 40}}) {
          check<float>({m, n, k, a, b, extra});
          check<double>({m, n, k, a, b, extra});
          check<bf16>({m, n, k, a, b, extra});
          check<bf16, float>({m, n, k, a, b, extra});
        }
      }
    }
  }
}

TEST_CASE("gemm with nothing to sum gives zero or leaves what is there, and with no output does nothing") {
  for (const std::int64_t extra : {0, 3}) {
    check<float>({4, 6, 0, Transpose::no, Transpose::yes, extra});
    check<double>({4, 6, 0, Transpose::yes, Transpose::no, extra});
    check<bf16>({4, 6, 0, Transpose::yes, Transpose::no, extra});
    check<float>({0, 6, 3, Transpose::no, Transpose::no, extra});
    check<double>({5, 0, 3, Transpose::no, Transpose::yes, extra});
  }
}

TEST_CASE("gemm large enough for many tiles equals plain loops") {
  check<float>({520, 700, 48, Transpose::no, Transpose::yes, 0});
  // So many rows that the right operand is packed once for all tiles, and more than one column of them.
  for (const Transpose a : {Transpose::no, Transpose::yes})
    for (const Transpose b : {Transpose::no, Transpose::yes}) check<float>({1100, 1060, 20, a, b, 3});
  check<double>({270, 1100, 20, Transpose::yes, Transpose::no, 1});
  check<bf16, float>({270, 1100, 20, Transpose::yes, Transpose::no, 1});
  check<bf16, float>({60, 40, 1300, Transpose::no, Transpose::yes, 0});  // more than a panel is deep
}

namespace {

/// The product with its operands and its result 0 … 7 elements after an aligned address.
template <class T>
Tensor product_at(Context& context, const Case& c, std::int64_t offset, double beta, bool left_zero) {
  const auto placed = [&](std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
    Numbers values = normal_values(rows * columns, seed);
    if (left_zero && seed == 1) std::fill(values.begin(), values.end(), 0.0);
    if (left_zero && seed == 2) std::fill(values.begin(), values.end(), -1.0);  // every product is −0
    const Tensor place = Tensor::empty(context, {rows * columns + offset}, dtype_of<T>);
    std::ranges::transform(values, place.data<T>() + offset,
                           [](double v) { return static_cast<T>(static_cast<Wide<T>>(v)); });
    return place;
  };
  const auto operand = [&](const Tensor& place, std::int64_t rows, std::int64_t columns, Transpose t) {
    return MatrixIn<T>{place.data<const T>() + offset, t == Transpose::yes ? rows : columns, t};
  };
  const Tensor a = placed(c.m, c.k, 1), b = placed(c.k, c.n, 2), out = placed(c.m, c.n, 3);
  gemm<T>(context.pool(), c.m, c.n, c.k, operand(a, c.m, c.k, c.a), operand(b, c.k, c.n, c.b),
          {out.data<T>() + offset, c.n, beta});
  return out.slice(offset, {c.m, c.n});
}

template <class T>
void check_places(const Case& c) {
  Context context;
  for (std::int64_t offset = 1; offset < 8; ++offset) {
    for (const double beta : {0.0, 1.0}) {
      for (const bool left_zero : {false, true}) {
        INFO(fmt::format("{} m={} n={} k={} {} {} offset {} beta {}{}", name_of(dtype_of<T>), c.m, c.n, c.k,
                         int(c.a), int(c.b), offset, beta, left_zero ? " of zeros" : ""));
        CHECK(same_bits(product_at<T>(context, c, offset, beta, left_zero),
                        product_at<T>(context, c, 0, beta, left_zero)));
      }
    }
  }
}

}  // namespace

TEST_CASE("gemm gives the same bits wherever its matrices lie") {
  for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{5, 4, 5},
                                {1, 2, 1},
                                {3, 2, 2},
                                {2, 3, 4},
                                {1, 7, 9},
                                {6, 1, 10},
                                {4, 4, 20},
                                {1, 60, 33},
                                {60, 1, 33},
                                {33, 35, 37}}) {
    for (const Transpose a : {Transpose::no, Transpose::yes}) {
      for (const Transpose b : {Transpose::no, Transpose::yes}) {
        check_places<float>({m, n, k, a, b, 0});
        check_places<double>({m, n, k, a, b, 0});
        check_places<bf16>({m, n, k, a, b, 0});
      }
    }
  }
}

TEST_CASE("gemm: matmul refuses shapes and types that do not fit and names the operator") {
  Context context;
  const auto zeros = [&](const Shape& shape, DType dtype = DType::f32) {
    return Tensor::zeros(context, shape, dtype);
  };
  const auto product = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
    matmul("router", a, Transpose::no, b, Transpose::yes, {c, 0.0});
  };
  CHECK_NOTHROW(product(zeros({2, 3}), zeros({4, 3}), zeros({2, 4})));
  CHECK_THROWS_WITH(product(zeros({2, 3}), zeros({4, 5}), zeros({2, 4})),
                    Catch::Contains("router: [2, 3] times [4, 5]^T into [2, 4]"));
  CHECK_THROWS_WITH(product(zeros({2, 3}), zeros({4, 3}), zeros({4, 2})), Catch::Contains("into [4, 2]"));
  CHECK_THROWS_WITH(product(zeros({2, 3}), zeros({4, 3}, DType::f64), zeros({2, 4})),
                    Catch::Contains("router: f32 times f64 into f32"));
}

namespace {

/// Computes one row of A within a product of M rows. It is row `place`, and the other rows are different.
template <class T>
Tensor row_of_product(Context& context, const Case& c, std::int64_t place) {
  const Numbers row = normal_values(c.k, 7);
  Numbers a = normal_values(c.m * c.k, 8);
  for (std::int64_t p = 0; p < c.k; ++p)
    a[static_cast<std::size_t>(c.a == Transpose::yes ? p * c.m + place : place * c.k + p)] =
        row[static_cast<std::size_t>(p)];
  const Tensor left = tensor_of(context, {c.m * c.k}, dtype_of<T>, a);
  const Tensor right = tensor_of(context, {c.k * c.n}, dtype_of<T>, normal_values(c.k * c.n, 9));
  const Tensor out = Tensor::empty(context, {c.m, c.n}, dtype_of<T>);
  gemm<T>(context.pool(), c.m, c.n, c.k, {left.data<const T>(), c.a == Transpose::yes ? c.m : c.k, c.a},
          {right.data<const T>(), c.b == Transpose::yes ? c.k : c.n, c.b}, {out.data<T>(), c.n},
          OneRow::like_others);
  return out.slice(place * c.n, {c.n});
}

/// All rows of A are equal. Returns whether all rows of C are equal, and their values.
template <class T>
bool equal_rows(Context& context, const Case& c, OneRow one_row = OneRow::like_others) {
  const Numbers row = normal_values(c.k, 7);
  Numbers a(static_cast<std::size_t>(c.m * c.k));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto m = static_cast<std::size_t>(c.m), k = static_cast<std::size_t>(c.k);
    a[i] = row[c.a == Transpose::yes ? i / m : i % k];
  }
  const Tensor left = tensor_of(context, {c.m * c.k}, dtype_of<T>, a);
  const Tensor right = tensor_of(context, {c.k * c.n}, dtype_of<T>, normal_values(c.k * c.n, 9));
  const Tensor out = Tensor::empty(context, {c.m, c.n}, dtype_of<T>);
  gemm<T>(context.pool(), c.m, c.n, c.k, {left.data<const T>(), c.a == Transpose::yes ? c.m : c.k, c.a},
          {right.data<const T>(), c.b == Transpose::yes ? c.k : c.n, c.b}, {out.data<T>(), c.n}, one_row);
  const Tensor first = out.slice(0, {c.n});
  for (std::int64_t i = 1; i < c.m; ++i)
    if (!same_bits(out.slice(i * c.n, {c.n}), first)) return false;
  return true;
}

template <class T>
void check_rows(const Case& shape) {
  Context context;
  const auto text = [](const Case& c) {
    return fmt::format("{} m={} n={} k={} {} {}", name_of(dtype_of<T>), c.m, c.n, c.k, int(c.a), int(c.b));
  };
  Case c = shape;
  c.m = 64;
  const Tensor expected = row_of_product<T>(context, c, 5);
  for (const std::int64_t m :
       {1, 2, 3, 4, 5, 7, 12, 15, 16, 17, 31, 63, 65, 95, 97, 127, 129, 257, 271, 301, 513, 600, 1030}) {
    c.m = m;
    INFO(text(c));
    CHECK(equal_rows<T>(context, c));
    CHECK(equal_rows<T>(context, c, OneRow::alone));
    for (const std::int64_t place : {std::int64_t{0}, m / 2, m - 1})
      if (c.n < 128) CHECK(same_bits(row_of_product<T>(context, c, place), expected));
  }
}

}  // namespace

TEST_CASE(
    "gemm gives equal rows equal bits wherever they stand, and up to 127 columns however many rows there "
    "are") {
  for (const Transpose a : {Transpose::no, Transpose::yes}) {
    for (const Transpose b : {Transpose::no, Transpose::yes}) {
      for (const auto& [n, k] : {std::array<std::int64_t, 2>{1, 9}, {3, 8}, {7, 33}, {64, 100}, {130, 20}}) {
        check_rows<float>({0, n, k, a, b, 0});
        check_rows<double>({0, n, k, a, b, 0});
        check_rows<bf16>({0, n, k, a, b, 0});
      }
    }
  }
}

TEST_CASE(
    "gemm: products of many rows have the bits of one thread, whether B is packed once or in every tile") {
  Context context({.threads = 3});
  // At 1024 × 2048 elements B is packed once, and at 1024 × 2064 it is not.
  for (const std::int64_t k : {2048, 2064}) {
    CAPTURE(k);
    constexpr std::int64_t m = 300, n = 1024;
    const Numbers left = normal_values(m * k, 1), right = normal_values(n * k, 2);
    const std::vector<float> a(left.begin(), left.end()), b(right.begin(), right.end());
    std::vector<float> parallel(m * n), serial(m * n);
    const MatrixIn<float> b_transposed{b.data(), k, Transpose::yes};
    gemm<float>(context.pool(), m, n, k, {a.data(), k}, b_transposed, {parallel.data(), n});
    gemm_serial<float>(m, n, k, {a.data(), k}, b_transposed, {serial.data(), n});
    // Without AVX2 a library multiplies, and sums the rows of a tile as it likes.
    if (packing_is_fast()) CHECK(parallel == serial);
  }
}
