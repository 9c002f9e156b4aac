#include "core/kernels/copy.hpp"

#include <cstring>

namespace granule {
namespace {

void copy_cpu(const CopyArgs& args) {
  constexpr std::int64_t kGrain = std::int64_t{1} << 20;
  const std::byte* const from = args.from.raw();
  std::byte* const to = args.to.raw();
  parallel_chunks(args.to.context().pool(), args.to.bytes(), kGrain,
                  [=](std::int64_t begin, std::int64_t end) {
                    std::memcpy(to + begin, from + begin, static_cast<std::size_t>(end - begin));
                  });
}

}  // namespace

constinit KernelSlot<CopyArgs> copy_kernel{"copy", copy_cpu};

void copy(const Tensor& from, const Tensor& to) {
  GRANULE_CHECK(from.numel() == to.numel() && from.dtype() == to.dtype(), "copy: {} {} to {} {}",
                from.numel(), name_of(from.dtype()), to.numel(), name_of(to.dtype()));
  if (from.raw() != to.raw()) copy_kernel({from, to});
}

}  // namespace granule
