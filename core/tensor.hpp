// A tensor is a shape over shared storage: contiguous, row-major, and cheap to copy, because copies share the
// bytes. There are no strides. A transpose is a flag of the GEMM, and a column block is a pointer and a row
// pitch.
#pragma once
#include <memory>
#include <span>

#include "core/context.hpp"
#include "core/dtype.hpp"
#include "core/shape.hpp"

namespace granule {

/// Bytes of one allocation. They return to their allocator at the end, and their Context's memory table
/// counts them.
class Storage {
 public:
  Storage(Context& context, std::int64_t bytes, MemoryCategory category, Place place);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  [[nodiscard]] Context& context() const { return context_; }
  [[nodiscard]] Device device() const { return place_ == Place::host ? Device{} : context_.device(); }
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  Context& context_;
  std::int64_t bytes_;
  MemoryCategory category_;
  Place place_;
  std::byte* data_;
};

class Tensor {
 public:
  Tensor() = default;  ///< undefined: no storage
  /// Uninitialised. Throws Error (out of memory).
  [[nodiscard]] static Tensor empty(Context& context, const Shape& shape, DType dtype,
                                    MemoryCategory category = MemoryCategory::activations,
                                    Place place = Place::device);
  [[nodiscard]] static Tensor zeros(Context& context, const Shape& shape, DType dtype,
                                    MemoryCategory category = MemoryCategory::activations,
                                    Place place = Place::device);
  /// A tensor of activations with the same context and dtype.
  [[nodiscard]] Tensor empty_like(const Shape& shape) const { return empty(context(), shape, dtype_); }

  [[nodiscard]] bool defined() const { return storage_ != nullptr; }
  /// Whether other tensors have the same storage.
  [[nodiscard]] bool shared() const { return storage_.use_count() > 1; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] std::int64_t numel() const { return shape_.numel(); }
  [[nodiscard]] std::int64_t bytes() const { return numel() * size_of(dtype_); }
  [[nodiscard]] Context& context() const;
  /// Where its bytes are. Kernels run there.
  [[nodiscard]] Device device() const;
  [[nodiscard]] bool on_host() const { return device().type == DeviceType::cpu; }

  /// Pointer to the first element, for kernels. Throws if T is not the dtype.
  template <class T>
  [[nodiscard]] T* data() const {
    check_type(dtype_of<std::remove_const_t<T>>);
    return reinterpret_cast<T*>(raw());
  }
  /// All elements of a tensor on the host, row-major. For tensors on a device there is core/transfer.hpp.
  template <class T>
  [[nodiscard]] std::span<T> span() const {
    check_host();
    return {data<T>(), static_cast<std::size_t>(numel())};
  }
  /// The one element of a tensor of one element on the host.
  template <class T>
  [[nodiscard]] T item() const {
    check_host();
    check_item();
    return *data<const T>();
  }
  [[nodiscard]] std::byte* raw() const { return storage_->data() + offset_; }

  /// The same elements under another shape with the same number of elements.
  [[nodiscard]] Tensor view(const Shape& shape) const;
  /// Elements [begin, begin + numel(shape)) of the flattened tensor, in that shape.
  [[nodiscard]] Tensor slice(std::int64_t begin, const Shape& shape) const;

 private:
  void check_type(DType wanted) const;
  void check_item() const;
  void check_host() const;

  std::shared_ptr<Storage> storage_;
  std::int64_t offset_ = 0;  // bytes
  Shape shape_{0};
  DType dtype_ = DType::f32;
};

/// Where a gradient goes. Beta 0 overwrites dst and must not read it, and beta 1 adds to it, as in a GEMM. If
/// dst is undefined, nobody wants this gradient.
struct Grad {
  Tensor dst;
  double beta = 0.0;
  explicit operator bool() const { return dst.defined(); }
};

}  // namespace granule
