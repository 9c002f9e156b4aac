#include "data/models/derived_tensors.hpp"

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

template <class T>
auto scaling_reader(TensorToSave tensor, double factor) {
  return [tensor = std::move(tensor), factor](std::int64_t offset, std::span<std::byte> out) {
    const auto element = static_cast<std::size_t>(size_of(tensor.spec.dtype));
    const auto size = static_cast<std::int64_t>(sizeof(T));
    std::vector<T> values(out.size() / sizeof(T));
    std::vector<std::byte> bytes(values.size() * element);
    tensor.read(offset / size * static_cast<std::int64_t>(element), bytes);
    floats_from_bytes(tensor.spec.dtype, bytes, std::span(values));
    for (T& value : values) value *= static_cast<T>(factor);
    bytes_from_floats(std::span<const T>(values), dtype_of<T>, out);
  };
}

/// Divides [offset, offset + out.size()) at the multiples of `length`, and calls body(number of the part,
/// offset in it, its piece of `out`).
template <class Body>
void each_part(std::int64_t length, std::int64_t offset, std::span<std::byte> out, Body&& body) {
  while (!out.empty()) {
    const std::int64_t inside = offset % length;
    const auto piece = std::min(out.size(), static_cast<std::size_t>(length - inside));
    body(offset / length, inside, out.first(piece));
    offset += static_cast<std::int64_t>(piece);
    out = out.subspan(piece);
  }
}

/// The type that holds every value of these tensors.
DType common_type(const std::vector<TensorToSave>& parts) {
  const DType first = parts.front().spec.dtype;
  if (std::ranges::all_of(parts, [&](const TensorToSave& part) { return part.spec.dtype == first; }))
    return first;
  const bool wide =
      std::ranges::any_of(parts, [](const TensorToSave& part) { return part.spec.dtype == DType::f64; });
  return wide ? DType::f64 : DType::f32;
}

bool holds_infinite_f16(std::span<const std::byte> bytes) {
  constexpr std::uint16_t kExponent = 0x7c00;
  for (std::size_t at = 0; at + sizeof(std::uint16_t) <= bytes.size(); at += sizeof(std::uint16_t)) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + at, sizeof(bits));
    if ((bits & kExponent) == kExponent) return true;
  }
  return false;
}

}  // namespace

TensorToSave renamed(TensorToSave tensor, std::string name) {
  tensor.spec.name = std::move(name);
  return tensor;
}

TensorToSave zeros(TensorSpec spec) {
  return {std::move(spec),
          [](std::int64_t, std::span<std::byte> out) { std::ranges::fill(out, std::byte{0}); }};
}

TensorToSave scaled(TensorToSave tensor, double factor) {
  TensorSpec spec = tensor.spec;
  if (spec.dtype == DType::f64) return {std::move(spec), scaling_reader<double>(std::move(tensor), factor)};
  spec.dtype = DType::f32;
  return {std::move(spec), scaling_reader<float>(std::move(tensor), factor)};
}

TensorToSave with_rows(TensorToSave tensor, std::function<std::int64_t(std::int64_t)> source_of) {
  TensorSpec spec = tensor.spec;
  const std::int64_t rows = spec.shape.empty() ? 0 : spec.shape.front();
  GRANULE_CHECK(rows > 0, "tensors: '{}' has no rows", spec.name);
  const std::int64_t row = spec.bytes() / rows;
  return {std::move(spec), [tensor = std::move(tensor), source_of = std::move(source_of), row](
                               std::int64_t offset, std::span<std::byte> out) {
            each_part(row, offset, out, [&](std::int64_t i, std::int64_t inside, std::span<std::byte> piece) {
              tensor.read(source_of(i) * row + inside, piece);
            });
          }};
}

TensorToSave stacked(std::string name, std::vector<TensorToSave> parts) {
  GRANULE_CHECK(!parts.empty(), "tensors: '{}' has no parts", name);
  const DType type = common_type(parts);
  for (TensorToSave& part : parts) {
    GRANULE_CHECK(part.spec.shape == parts.front().spec.shape, "tensors: the parts of '{}' differ in shape",
                  name);
    part = converted(std::move(part), type);
  }
  const std::int64_t length = parts.front().spec.bytes();
  TensorSpec spec{std::move(name), type, parts.front().spec.shape};
  spec.shape.insert(spec.shape.begin(), std::ssize(parts));
  return {std::move(spec), [parts = std::move(parts), length](std::int64_t offset, std::span<std::byte> out) {
            each_part(length, offset, out,
                      [&](std::int64_t i, std::int64_t inside, std::span<std::byte> piece) {
                        parts[static_cast<std::size_t>(i)].read(inside, piece);
                      });
          }};
}

TensorToSave narrowed(TensorToSave tensor, DType to) {
  TensorToSave narrow = converted(std::move(tensor), to);
  if (to != DType::f16) return narrow;
  TensorSpec spec = narrow.spec;
  return {std::move(spec), [narrow = std::move(narrow)](std::int64_t offset, std::span<std::byte> out) {
            narrow.read(offset, out);
            if (holds_infinite_f16(out)) refuse_value(narrow.spec.name, name_of(DType::f16));
          }};
}

void refuse_value(std::string_view tensor, std::string_view type) {
  user_error(fmt::format("tensor '{}' has a value that {} cannot hold", tensor, type), "--dtype",
             "use --dtype bf16 or f32");
}

}  // namespace granule
