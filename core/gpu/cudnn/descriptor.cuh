// The objects of cuDNN's backend API: graphs, their tensors and operations, engines and plans are all
// descriptors with attributes. cuDNN's documentation calls a descriptor that may be used "finalised".
#pragma once
#include <cstdint>
#include <span>
#include <utility>

#include <cudnn.h>

namespace granule::gpu::dnn {

/// Throws Error with cuDNN's own words.
void check(cudnnStatus_t status, const char* what);

/// Of a tensor's memory or of workspace. A bare pointer is a descriptor.
struct Address {
  const void* data;
};

namespace detail {
/// The tag that cuDNN wants beside a value of each type.
template <class T>
inline constexpr auto kTag = nullptr;
template <>
inline constexpr auto kTag<std::int64_t> = CUDNN_TYPE_INT64;
template <>
inline constexpr auto kTag<bool> = CUDNN_TYPE_BOOLEAN;
template <>
inline constexpr auto kTag<cudnnBackendDescriptor_t> = CUDNN_TYPE_BACKEND_DESCRIPTOR;
template <>
inline constexpr auto kTag<Address> = CUDNN_TYPE_VOID_PTR;
template <>
inline constexpr auto kTag<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr auto kTag<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr auto kTag<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr auto kTag<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;
template <>
inline constexpr auto kTag<cudnnReduceTensorOp_t> = CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
template <>
inline constexpr auto kTag<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr auto kTag<cudnnBackendKnobType_t> = CUDNN_TYPE_KNOB_TYPE;
template <>
inline constexpr auto kTag<cudnnBackendNumericalNote_t> = CUDNN_TYPE_NUMERICAL_NOTE;
}  // namespace detail

/// Owns one descriptor.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  Descriptor& operator=(const Descriptor&) = delete;

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    return set_raw(name, detail::kTag<T>, std::ssize(values), values.data());
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set(name, std::span<const T>(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.raw_);
  }
  Descriptor& finalise();
  /// False if cuDNN does not have what the descriptor asks for. Any other failure throws.
  [[nodiscard]] bool finalise_if_supported();

  template <class T>
  [[nodiscard]] T get(cudnnBackendAttributeName_t name) const {
    T value{};
    get_raw(name, detail::kTag<T>, 1, &value);
    return value;
  }
  /// How many values an attribute has, or how many of `most` were written into `values`.
  std::int64_t get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag, std::int64_t most,
                       void* values) const;

  [[nodiscard]] cudnnBackendDescriptor_t raw() const { return raw_; }

 private:
  Descriptor& set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag, std::int64_t count,
                      const void* values);
  cudnnBackendDescriptor_t raw_ = nullptr;
};

}  // namespace granule::gpu::dnn
