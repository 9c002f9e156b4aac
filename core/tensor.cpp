#include "core/tensor.hpp"

namespace granule {

Storage::Storage(Context& context, std::int64_t bytes, MemoryCategory category, Place place)
    : context_(context),
      bytes_(bytes),
      category_(category),
      place_(place),
      data_(context.allocator(category, place).allocate(bytes)) {
  context_.memory(place_).add(category_, bytes_);
}

Storage::~Storage() {
  context_.memory(place_).add(category_, -bytes_);
  context_.allocator(category_, place_).release(data_, bytes_);
}

Tensor Tensor::empty(Context& context, const Shape& shape, DType dtype, MemoryCategory category,
                     Place place) {
  Tensor tensor;
  tensor.storage_ = std::make_shared<Storage>(context, shape.numel() * size_of(dtype), category, place);
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  return tensor;
}

Context& Tensor::context() const {
  GRANULE_CHECK(defined(), "tensor: undefined");
  return storage_->context();
}

Device Tensor::device() const {
  GRANULE_CHECK(defined(), "tensor: undefined");
  return storage_->device();
}

Tensor Tensor::view(const Shape& shape) const {
  GRANULE_CHECK(shape.numel() == numel(), "view: {} has {} elements, {} has {}", shape_.str(), numel(),
                shape.str(), shape.numel());
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor Tensor::slice(std::int64_t begin, const Shape& shape) const {
  GRANULE_CHECK(begin >= 0 && begin + shape.numel() <= numel(), "slice: elements [{}, {}) of {}", begin,
                begin + shape.numel(), numel());
  Tensor result = *this;
  result.offset_ += begin * size_of(dtype_);
  result.shape_ = shape;
  return result;
}

void Tensor::check_type(DType wanted) const {
  GRANULE_CHECK(defined(), "tensor: undefined");
  GRANULE_CHECK(wanted == dtype_, "tensor: holds {}, asked for {}", name_of(dtype_), name_of(wanted));
}

void Tensor::check_host() const {
  GRANULE_CHECK(on_host(), "tensor: on a device, where the host reads it by read_back alone");
}

void Tensor::check_item() const {
  GRANULE_CHECK(numel() == 1, "item: tensor has {} elements", numel());
}

}  // namespace granule
