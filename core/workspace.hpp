// Scratch of one kernel call. The kernel's slot states how many bytes a call needs, the operator's call
// allocates them, and the kernel takes its buffers from them. So what a step needs can be told without
// running it. Products of matrices pack their operands into buffers beside that, which a thread keeps, as the
// libraries do.
#pragma once
#include <initializer_list>

#include "core/tensor.hpp"

namespace granule {

struct WorkspacePart {
  std::int64_t elements;
  DType dtype;
};
/// Bytes of a workspace from which these parts are taken, in any order.
[[nodiscard]] inline std::int64_t workspace_bytes(std::initializer_list<WorkspacePart> parts) {
  std::int64_t bytes = 0;
  for (const WorkspacePart& part : parts) bytes += align_up(part.elements * size_of(part.dtype));
  return bytes;
}

class Workspace {
 public:
  Workspace() = default;  ///< of a kernel that needs none
  /// `bytes` of scratch, uninitialised.
  Workspace(Context& context, std::int64_t bytes, Place place) {
    if (bytes > 0) bytes_ = Tensor::empty(context, {bytes}, DType::u8, MemoryCategory::scratch, place);
  }
  /// All of it; undefined if it is empty.
  [[nodiscard]] const Tensor& bytes() const { return bytes_; }

  /// The next part, aligned to kAlignment. Throws if the slot stated fewer bytes.
  template <class T>
  [[nodiscard]] T* take(std::int64_t elements) {
    const std::int64_t begin = taken_;
    taken_ += align_up(elements * static_cast<std::int64_t>(sizeof(T)));
    const std::int64_t stated = bytes_.defined() ? bytes_.numel() : 0;
    GRANULE_ASSERT(taken_ <= stated, "a kernel takes {} bytes of a workspace of {}", taken_, stated);
    return elements == 0 ? nullptr : reinterpret_cast<T*>(bytes_.raw() + begin);
  }

 private:
  Tensor bytes_;
  std::int64_t taken_ = 0;
};

}  // namespace granule
