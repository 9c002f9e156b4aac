#include "moe/ops/expert_ffn.hpp"

#include <algorithm>
#include <vector>

#include "core/kernels/gemm.hpp"
#include "core/kernels/swiglu.hpp"

namespace granule {
namespace {

using Saved = ExpertFfn::Saved;

constexpr std::int64_t kRows = 256;        // rows of a product: usually an expert's rows are one piece
constexpr std::int64_t kWeightRows = 256;  // rows of a weight gradient

/// Rows [begin, begin + rows) belong to one expert.
struct Piece {
  std::int64_t expert, begin, rows;
};

/// Cuts every expert's rows into pieces of kRows. The cut is a function of the counts alone.
std::vector<Piece> pieces_of(const Tensor& offset_E1) {
  std::vector<Piece> pieces;
  const auto offset = offset_E1.span<const std::int64_t>();
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) {
    for (std::int64_t begin = offset[e]; begin < offset[e + 1]; begin += kRows) {
      pieces.push_back({static_cast<std::int64_t>(e), begin, std::min(kRows, offset[e + 1] - begin)});
    }
  }
  return pieces;
}

struct Sizes {
  std::int64_t experts, d, f;
  explicit Sizes(const Tensor& w2_EDF)
      : experts(w2_EDF.shape()[0]), d(w2_EDF.shape()[1]), f(w2_EDF.shape()[2]) {}
};

template <class T>
void forward_cpu(const Tensor& x, const Tensor& w13, const Tensor& w2, const Tensor& offset, const Tensor& h,
                 const Tensor& y) {
  const Sizes s(w2);
  const std::int64_t d = s.d, f = s.f;
  const std::vector<Piece> pieces = pieces_of(offset);
  // Every expert has one row only if there is a single token. That is usually generation, which must be fast.
  const bool single = std::ranges::all_of(pieces, [](const Piece& piece) { return piece.rows == 1; });
  const OneRow one_row = single ? OneRow::alone : OneRow::like_others;
  ThreadPool& pool = x.context().pool();
  const Tensor scratch =
      Tensor::empty(x.context(), {pool.size(), kRows * f}, x.dtype(), MemoryCategory::scratch);
  pool.run(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const auto [e, begin, rows] = pieces[static_cast<std::size_t>(i)];
    T* const a = scratch.data<T>() + ThreadPool::thread_index() * kRows * f;
    T* const gate_up = h.data<T>() + begin * 2 * f;
    gemm_serial<T>(rows, 2 * f, d, {x.data<const T>() + begin * d, d},
                   {w13.data<const T>() + e * 2 * f * d, d, Transpose::yes}, {gate_up, 2 * f}, one_row);
    swiglu_rows(gate_up, rows, f, a);
    gemm_serial<T>(rows, d, f, {a, f}, {w2.data<const T>() + e * d * f, f, Transpose::yes},
                   {y.data<T>() + begin * d, d}, one_row);
  });
}

/// Gradients of the rows. It also computes a_RF and dh_RG, which the weights' gradients need.
template <class T>
void backward_rows(const Saved& saved, const Tensor& w13, const Tensor& w2, const Tensor& dy, const Grad& dx,
                   const Tensor& a, const Tensor& dh) {
  const Sizes s(w2);
  const std::int64_t d = s.d, f = s.f;
  const std::vector<Piece> pieces = pieces_of(saved.offset_E1);
  ThreadPool& pool = dy.context().pool();
  const Tensor scratch =
      Tensor::empty(dy.context(), {pool.size(), kRows * f}, dy.dtype(), MemoryCategory::scratch);
  pool.run(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
    const auto [e, begin, rows] = pieces[static_cast<std::size_t>(i)];
    T* const da = scratch.data<T>() + ThreadPool::thread_index() * kRows * f;
    T* const dh_rows = dh.data<T>() + begin * 2 * f;
    const T* const h_rows = saved.h_RG.data<const T>() + begin * 2 * f;
    gemm_serial<T>(rows, f, d, {dy.data<const T>() + begin * d, d}, {w2.data<const T>() + e * d * f, f},
                   {da, f});
    swiglu_rows(h_rows, rows, f, a.data<T>() + begin * f);
    swiglu_rows_backward(h_rows, da, rows, f, dh_rows, 0.0);
    if (!dx) return;
    gemm_serial<T>(rows, d, 2 * f, {dh_rows, 2 * f}, {w13.data<const T>() + e * 2 * f * d, d},
                   {dx.dst.data<T>() + begin * d, d, dx.beta});
  });
}

/// dw_e[out, in] = Σ_r left_rᵀ right_r over each expert's rows, computed in pieces of kWeightRows rows of dw.
template <class T>
void backward_weight(const Tensor& left_RO, const Tensor& right_RI, const Tensor& offset_E1,
                     const Grad& dw_EOI) {
  if (!dw_EOI) return;
  const std::int64_t experts = dw_EOI.dst.shape()[0], out = dw_EOI.dst.shape()[1], in = dw_EOI.dst.shape()[2];
  const std::int64_t blocks = (out + kWeightRows - 1) / kWeightRows;
  const auto offset = offset_E1.span<const std::int64_t>();
  left_RO.context().pool().run(experts * blocks, [&](std::int64_t task) {
    const std::int64_t e = task / blocks, first = task % blocks * kWeightRows;
    const std::int64_t begin = offset[static_cast<std::size_t>(e)],
                       rows = offset[static_cast<std::size_t>(e) + 1] - begin;
    gemm_serial<T>(std::min(kWeightRows, out - first), in, rows,
                   {left_RO.data<const T>() + begin * out + first, out, Transpose::yes},
                   {right_RI.data<const T>() + begin * in, in},
                   {dw_EOI.dst.data<T>() + (e * out + first) * in, in, dw_EOI.beta});
  });
}

void forward_dispatch(const Tensor& x, const Tensor& w13, const Tensor& w2, const Tensor& offset,
                      const Tensor& h, const Tensor& y) {
  dispatch_float(x.dtype(), [&]<class T>() { forward_cpu<T>(x, w13, w2, offset, h, y); });
}

void backward_dispatch(const Saved& saved, const Tensor& w13, const Tensor& w2, const Tensor& dy,
                       const Grad& dx, const Grad& dw13, const Grad& dw2) {
  const std::int64_t rows = dy.shape()[0], f = w2.shape()[2];
  const Tensor a = dy.empty_like({rows, f}), dh = dy.empty_like({rows, 2 * f});
  dispatch_float(dy.dtype(), [&]<class T>() {
    backward_rows<T>(saved, w13, w2, dy, dx, a, dh);
    backward_weight<T>(dh, saved.x_RD, saved.offset_E1, dw13);
    backward_weight<T>(dy, a, saved.offset_E1, dw2);
  });
}

void check(const Tensor& x, const Tensor& w13, const Tensor& w2, const Tensor& offset) {
  const Sizes s(w2);
  GRANULE_CHECK(w13.shape() == Shape({s.experts, 2 * s.f, s.d}), "expert_ffn: w13 is {}, w2 {}",
                w13.shape().str(), w2.shape().str());
  GRANULE_CHECK(x.shape()[1] == s.d, "expert_ffn: x has {} features, w13 takes {}", x.shape()[1], s.d);
  GRANULE_CHECK(
      offset.numel() == s.experts + 1 && offset.data<const std::int64_t>()[s.experts] == x.shape()[0],
      "expert_ffn: offsets of {} experts, weights of {}; {} rows", offset.numel() - 1, s.experts,
      x.shape()[0]);
}

}  // namespace

constinit KernelSlot<void(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                          const Tensor&)>
    ExpertFfn::forward_kernel{"expert_ffn", forward_dispatch};
constinit KernelSlot<void(const Saved&, const Tensor&, const Tensor&, const Tensor&, const Grad&, const Grad&,
                          const Grad&)>
    ExpertFfn::backward_kernel{"expert_ffn backward", backward_dispatch};

Tensor ExpertFfn::forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_EGD, const Tensor& w2_EDF,
                          const Tensor& offset_E1) const {
  check(x_RD, w13_EGD, w2_EDF, offset_E1);
  Tensor y = x_RD.empty_like(x_RD.shape());
  const Tensor h = x_RD.empty_like({x_RD.shape()[0], w13_EGD.shape()[1]});
  forward_kernel(x_RD.device(), x_RD, w13_EGD, w2_EDF, offset_E1, h, y);
  if (saved != nullptr) *saved = {x_RD, h, offset_E1};
  return y;
}

void ExpertFfn::backward(const Saved& saved, const Tensor& w13_EGD, const Tensor& w2_EDF, const Tensor& dy_RD,
                         const Grad& dx_RD, const Grad& dw13_EGD, const Grad& dw2_EDF) const {
  backward_kernel(dy_RD.device(), saved, w13_EGD, w2_EDF, dy_RD, dx_RD, dw13_EGD, dw2_EDF);
}

}  // namespace granule
