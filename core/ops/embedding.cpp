#include "core/ops/embedding.hpp"

#include <algorithm>

#include "core/kernels/fill.hpp"

namespace granule {
namespace {

void forward_cpu(const Embedding::ForwardArgs& args) {
  constexpr std::int64_t kRows = 64;
  const std::int64_t V = args.w_VD.shape()[0], D = args.w_VD.shape()[1];
  const std::int32_t* const id = args.id_N.data<const std::int32_t>();
  dispatch_storage(args.w_VD.dtype(), [&]<class T>() {
    const T* const w = args.w_VD.data<const T>();
    T* const y = args.y_ND.data<T>();
    parallel_chunks(args.w_VD.context().pool(), args.id_N.numel(), kRows,
                    [=](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        GRANULE_CHECK(id[i] >= 0 && id[i] < V,
                                      "embedding: id {} of row {}, the table has {} rows", id[i], i, V);
                        std::copy_n(w + id[i] * D, D, y + i * D);
                      }
                    });
  });
}

/// Each task has its own columns, so rows of one id are summed in the order of the tokens for any number of
/// threads.
void backward_cpu(const Embedding::BackwardArgs& args) {
  constexpr std::int64_t kColumns = 64;
  const std::int64_t N = args.id_N.numel(), D = args.dy_ND.shape()[1];
  const std::int32_t* const id = args.id_N.data<const std::int32_t>();
  dispatch_storage(args.dy_ND.dtype(), [&]<class T>() {
    const T* const dy = args.dy_ND.data<const T>();
    Wide<T>* const dw = args.dw_VD.data<Wide<T>>();
    parallel_chunks(args.dy_ND.context().pool(), D, kColumns, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = 0; i < N; ++i) {
        const T* const from = dy + i * D;
        Wide<T>* const to = dw + id[i] * D;
        for (std::int64_t j = begin; j < end; ++j) to[j] += widened(from[j]);
      }
    });
  });
}

}  // namespace

constinit KernelSlot<Embedding::ForwardArgs> Embedding::forward_kernel{"embedding", forward_cpu};
constinit KernelSlot<Embedding::BackwardArgs> Embedding::backward_kernel{"embedding", backward_cpu};

Tensor Embedding::forward(Saved* saved, const Tensor& w_VD, const Tensor& id_N) const {
  GRANULE_CHECK(w_VD.shape().rank() == 2 && id_N.shape().rank() == 1,
                "embedding: table {} with ids {}, [V, D] and [N] are needed", w_VD.shape().str(),
                id_N.shape().str());
  Tensor y_ND = w_VD.empty_like({id_N.shape()[0], w_VD.shape()[1]});
  forward_kernel({w_VD, id_N, y_ND});
  if (saved != nullptr) saved->id_N = id_N;
  return y_ND;
}

void Embedding::backward(const Saved& saved, const Tensor&, const Tensor& dy_ND, const Grad& dw_VD) const {
  if (!dw_VD) return;
  if (dw_VD.beta == 0.0) fill_zero(dw_VD.dst);
  backward_kernel({saved.id_N, dy_ND, dw_VD.dst});
}

}  // namespace granule
