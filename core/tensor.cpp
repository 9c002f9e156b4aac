#include "core/tensor.hpp"

#include <algorithm>
#include <cstring>

namespace granule {

Storage::Storage(Context& context, std::int64_t bytes, MemoryCategory category)
    : context_(context),
      bytes_(bytes),
      category_(category),
      data_(context.allocator(category).allocate(bytes)) {
  context_.memory().add(category_, bytes_);
}

Storage::~Storage() {
  context_.memory().add(category_, -bytes_);
  context_.allocator(category_).release(data_, bytes_);
}

Tensor Tensor::empty(Context& context, const Shape& shape, DType dtype, MemoryCategory category) {
  Tensor tensor;
  tensor.storage_ = std::make_shared<Storage>(context, shape.numel() * size_of(dtype), category);
  tensor.shape_ = shape;
  tensor.dtype_ = dtype;
  return tensor;
}

Tensor Tensor::zeros(Context& context, const Shape& shape, DType dtype, MemoryCategory category) {
  Tensor tensor = empty(context, shape, dtype, category);
  fill_zero(tensor);
  return tensor;
}

Context& Tensor::context() const {
  GRANULE_CHECK(defined(), "tensor: undefined");
  return storage_->context();
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

void Tensor::check_item() const {
  GRANULE_CHECK(numel() == 1, "item: tensor has {} elements", numel());
}

void fill_zero(const Tensor& tensor) {
  constexpr std::int64_t kGrain = std::int64_t{1} << 20;
  parallel_chunks(tensor.context().pool(), tensor.bytes(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::memset(tensor.raw() + begin, 0, static_cast<std::size_t>(end - begin));
  });
}

void accumulate(const Tensor& source, const Grad& destination) {
  GRANULE_CHECK(source.numel() == destination.dst.numel(), "accumulate: {} elements into {}", source.numel(),
                destination.dst.numel());
  constexpr std::int64_t kGrain = 1 << 16;
  dispatch_float(source.dtype(), [&]<class T>() {
    const T* from = source.data<const T>();
    T* to = destination.dst.data<T>();
    const T beta = static_cast<T>(destination.beta);
    parallel_chunks(source.context().pool(), source.numel(), kGrain,
                    [&](std::int64_t begin, std::int64_t end) {
                      if (beta == T(0)) {
                        std::copy(from + begin, from + end, to + begin);
                      } else {
                        for (std::int64_t i = begin; i < end; ++i) to[i] = from[i] + beta * to[i];
                      }
                    });
  });
}

}  // namespace granule
