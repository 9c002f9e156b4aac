#include "tests/support/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <xxhash.h>

#include "core/random.hpp"

namespace granule::test {
namespace {

constexpr std::int64_t kMargin = 67;        // in elements; it is odd, so that nothing after it is aligned
constexpr unsigned char kFenceByte = 0xff;  // NaN in every floating type

void write(const Tensor& tensor, std::span<const double> values) {
  GRANULE_CHECK(static_cast<std::int64_t>(values.size()) == tensor.numel(), "test tensor {}: {} values",
                tensor.shape().str(), values.size());
  dispatch_float(tensor.dtype(), [&]<class T>() {
    std::transform(values.begin(), values.end(), tensor.data<T>(),
                   [](double v) { return static_cast<T>(v); });
  });
}

}  // namespace

std::vector<double> normal_values(std::int64_t n, std::uint64_t seed, double scale) {
  const RandomStream random(seed, "test values");
  std::vector<double> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(static_cast<float>(scale * random.normal(i)));
  }
  return values;
}

Tensor tensor_of(Context& context, const Shape& shape, DType dtype, std::span<const double> values) {
  Tensor tensor = Tensor::empty(context, shape, dtype);
  write(tensor, values);
  return tensor;
}

Tensor ids_of(Context& context, const Shape& shape, std::span<const std::int32_t> values) {
  Tensor tensor = Tensor::empty(context, shape, DType::i32);
  GRANULE_CHECK(static_cast<std::int64_t>(values.size()) == tensor.numel(), "test ids {}: {} values",
                shape.str(), values.size());
  std::copy(values.begin(), values.end(), tensor.data<std::int32_t>());
  return tensor;
}

std::vector<double> values_of(const Tensor& tensor) {
  return dispatch_float(tensor.dtype(), [&]<class T>() {
    const std::span<const T> span = tensor.span<const T>();
    return std::vector<double>(span.begin(), span.end());
  });
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.bytes())) == 0;
}

std::uint64_t digest_of(const Tensor& tensor) {
  return XXH3_64bits(tensor.raw(), static_cast<std::size_t>(tensor.bytes()));
}

double relative_difference(std::span<const double> a, std::span<const double> b, double floor) {
  double difference = 0.0, scale = floor;
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::abs(a[i] - b[i]));
    scale = std::max(scale, std::abs(b[i]));
  }
  return scale > 0.0 ? difference / scale : difference;
}

Fenced::Fenced(Context& context, const Shape& shape, DType dtype)
    : whole_(Tensor::empty(context, {shape.numel() + 2 * kMargin}, dtype)),
      inner_(whole_.slice(kMargin, shape)) {
  std::memset(whole_.raw(), kFenceByte, static_cast<std::size_t>(whole_.bytes()));
}

Fenced::Fenced(Context& context, const Shape& shape, DType dtype, std::span<const double> values)
    : Fenced(context, shape, dtype) {
  write(inner_, values);
}

bool Fenced::intact() const {
  const auto untouched = [](const std::byte* from, std::int64_t bytes) {
    return std::all_of(from, from + bytes, [](std::byte b) { return b == std::byte{kFenceByte}; });
  };
  const std::int64_t margin = kMargin * size_of(whole_.dtype());
  return untouched(whole_.raw(), margin) && untouched(whole_.raw() + whole_.bytes() - margin, margin);
}

}  // namespace granule::test
