#include "tests/support/tensors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <xxhash.h>

#include "core/random.hpp"
#include "core/transfer.hpp"

namespace granule::test {
namespace {

constexpr std::int64_t kMargin = 67;   // in elements; it is odd, so that nothing after it is aligned
constexpr std::byte kFenceByte{0xff};  // NaN in every floating type

/// The tensor's bytes on the host.
std::vector<std::byte> bytes_of(const Tensor& tensor) {
  const HostBytes copy(tensor);
  return {copy.get().begin(), copy.get().end()};
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
  write_values(values, tensor);
  return tensor;
}

void write_values(std::span<const double> values, const Tensor& tensor) {
  GRANULE_CHECK(static_cast<std::int64_t>(values.size()) == tensor.numel(), "test tensor {}: {} values",
                tensor.shape().str(), values.size());
  dispatch_storage(tensor.dtype(), [&]<class T>() {
    std::vector<T> converted(values.size());
    std::ranges::transform(values, converted.begin(),
                           [](double v) { return static_cast<T>(static_cast<Wide<T>>(v)); });
    write<T>(converted, tensor);
  });
}

Tensor counts_of(Context& context, const Shape& shape, std::span<const std::int64_t> values) {
  Tensor tensor = Tensor::empty(context, shape, DType::i64);
  write(values, tensor);
  return tensor;
}

std::vector<std::int64_t> integers_of(const Tensor& tensor) {
  const auto read = [&]<class T>(const HostCopy<T>& copy) {
    return std::vector<std::int64_t>(copy.get().begin(), copy.get().end());
  };
  return tensor.dtype() == DType::i32 ? read(read_back<std::int32_t>(tensor))
                                      : read(read_back<std::int64_t>(tensor));
}

Tensor ids_of(Context& context, const Shape& shape, std::span<const std::int32_t> values) {
  Tensor tensor = Tensor::empty(context, shape, DType::i32);
  GRANULE_CHECK(static_cast<std::int64_t>(values.size()) == tensor.numel(), "test ids {}: {} values",
                shape.str(), values.size());
  write(values, tensor);
  return tensor;
}

std::vector<double> values_of(const Tensor& tensor) {
  return dispatch_storage(tensor.dtype(), [&]<class T>() {
    const HostCopy<T> copy = read_back<T>(tensor);
    std::vector<double> values;
    for (const T value : copy.get()) values.push_back(static_cast<double>(widened(value)));
    return values;
  });
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && bytes_of(a) == bytes_of(b);
}

std::uint64_t digest_of(const Tensor& tensor) {
  const std::vector<std::byte> bytes = bytes_of(tensor);
  return XXH3_64bits(bytes.data(), bytes.size());
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
  write_bytes(std::vector(static_cast<std::size_t>(whole_.bytes()), kFenceByte), whole_);
}

Fenced::Fenced(Context& context, const Shape& shape, DType dtype, std::span<const double> values)
    : Fenced(context, shape, dtype) {
  write_values(values, inner_);
}

bool Fenced::intact() const {
  const auto untouched = [](std::byte b) { return b == kFenceByte; };
  const std::vector<std::byte> bytes = bytes_of(whole_);
  const std::int64_t margin = kMargin * size_of(whole_.dtype());
  return std::all_of(bytes.begin(), bytes.begin() + margin, untouched) &&
         std::all_of(bytes.end() - margin, bytes.end(), untouched);
}

}  // namespace granule::test
