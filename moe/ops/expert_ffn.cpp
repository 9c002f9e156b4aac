#include "moe/ops/expert_ffn.hpp"

#include <algorithm>
#include <vector>

#include "core/kernels/fetch_row.hpp"
#include "core/kernels/packed_gemm.hpp"
#include "core/kernels/swiglu.hpp"

namespace granule {
namespace {

using ForwardArgs = ExpertFfn::ForwardArgs;
using BackwardArgs = ExpertFfn::BackwardArgs;
using Offsets = std::span<const std::int64_t>;

constexpr std::int64_t kRows = 256;        // rows of a product: usually an expert's rows are one piece
constexpr std::int64_t kWeightRows = 256;  // rows of a weight gradient
constexpr std::int64_t kManyRows = 32;     // rows of a piece that leave time for fetching weights

/// Rows [begin, begin + rows) belong to one expert.
struct Piece {
  std::int64_t expert, begin, rows;
};

std::int64_t pieces_of_expert(Offsets offset, std::size_t e) {
  return (offset[e + 1] - offset[e] + kRows - 1) / kRows;
}

/// Every expert's rows are cut into pieces of kRows. The cut is a function of the counts alone.
std::int64_t count_pieces(Offsets offset) {
  std::int64_t count = 0;
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) count += pieces_of_expert(offset, e);
  return count;
}

Piece piece_at(Offsets offset, std::int64_t index) {
  std::size_t e = 0;
  for (; index >= pieces_of_expert(offset, e); ++e) index -= pieces_of_expert(offset, e);
  const std::int64_t begin = offset[e] + index * kRows;
  return {static_cast<std::int64_t>(e), begin, std::min(kRows, offset[e + 1] - begin)};
}

/// Every expert has at most one row only if there is a single token. That is usually generation, which must
/// be fast.
OneRow one_row_of(Offsets offset) {
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) {
    if (offset[e + 1] - offset[e] > 1) return OneRow::like_others;
  }
  return OneRow::alone;
}

/// About the weights that a product packs before its first sum. Whoever computes rows in the meantime asks
/// for a part of them with each row.
template <class T>
class FirstPanel {
 public:
  FirstPanel(const T* weights, std::int64_t k, std::int64_t rows)
      : weights_(weights), part_(std::min((kPanelColumns * k + rows - 1) / rows, kMost)) {}
  void fetch_part(std::int64_t row) const { fetch_row(weights_ + row * part_, part_); }

 private:
  // Elements of a part. More at once would be a burst, for which the row waits.
  static constexpr std::int64_t kMost = 512;

  const T* weights_;
  std::int64_t part_;
};

/// The workspace has a piece of a for each thread.
template <class T>
void forward(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t d = args.w2_EDF.shape()[1], f = args.w2_EDF.shape()[2];
  const T *const x = args.x_RD.data<const T>(), *const w13 = args.w13_EGD.data<const T>(),
                 *const w2 = args.w2_EDF.data<const T>();
  T *const h = args.h_RG.data<T>(), *const y = args.y_RD.data<T>();
  const OneRow one_row = one_row_of(args.offset_E1);
  ThreadPool& pool = args.x_RD.context().pool();
  T* const activated = workspace.take<T>(pool.size() * kRows * f);
  const std::int64_t pieces = count_pieces(args.offset_E1);
  pool.run(pieces, [&](std::int64_t i) {
    const auto [e, begin, rows] = piece_at(args.offset_E1, i);
    T* const a = activated + ThreadPool::thread_index() * kRows * f;
    T* const gate_up = h + begin * 2 * f;
    gemm_serial<T>(rows, 2 * f, d, {x + begin * d, d}, {w13 + e * 2 * f * d, d, Transpose::yes},
                   {gate_up, 2 * f}, one_row);
    // Threads take turns, so this one's next piece is most likely that many pieces later.
    const std::int64_t next = piece_at(args.offset_E1, std::min(i + pool.size(), pieces - 1)).expert;
    const FirstPanel down(w2 + e * d * f, f, rows), next_gate_up(w13 + next * 2 * f * d, d, rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      // A few rows are computed faster than weights can be fetched.
      if (rows >= kManyRows) {
        down.fetch_part(r);
        next_gate_up.fetch_part(r);
      }
      swiglu_rows(gate_up + r * 2 * f, 1, f, a + r * f);
    }
    gemm_serial<T>(rows, d, f, {a, f}, {w2 + e * d * f, f, Transpose::yes}, {y + begin * d, d}, one_row);
  });
}

void forward_cpu(const ForwardArgs& args, Workspace& workspace) {
  dispatch_storage(args.x_RD.dtype(), [&]<class T>() { forward<T>(args, workspace); });
}
std::int64_t forward_workspace(const ForwardArgs& args, int threads) {
  return workspace_bytes({{threads * kRows * args.w2_EDF.shape()[2], args.x_RD.dtype()}});
}

/// What the weights' gradients need of some rows, of which these are the first.
template <class T>
struct RowGradients {
  T *a_RF, *dh_RG;
  [[nodiscard]] RowGradients from(std::int64_t row, std::int64_t f) const {
    return {a_RF + row * f, dh_RG + row * 2 * f};
  }
};

/// Gradients of a piece's rows. `da` has room for a piece.
template <class T>
void backward_piece(const BackwardArgs& args, const Piece& piece, T* da, const RowGradients<T>& out) {
  const std::int64_t d = args.w2_EDF.shape()[1], f = args.w2_EDF.shape()[2];
  const auto [e, begin, rows] = piece;
  const T *const h = args.h_RG.data<const T>() + begin * 2 * f,
                 *const w13 = args.w13_EGD.data<const T>() + e * 2 * f * d,
                 *const w2 = args.w2_EDF.data<const T>() + e * d * f,
                 *const dy = args.dy_RD.data<const T>() + begin * d;
  gemm_serial<T>(rows, f, d, {dy, d}, {w2, f}, {da, f});
  swiglu_rows(h, rows, f, out.a_RF);
  swiglu_rows_backward(h, da, rows, f, out.dh_RG, 0.0);
  if (!args.dx_RD) return;
  gemm_serial<T>(rows, d, 2 * f, {out.dh_RG, 2 * f}, {w13, d},
                 {args.dx_RD.dst.data<T>() + begin * d, d, args.dx_RD.beta});
}

/// Blocks of kWeightRows rows of a weight's gradient.
std::int64_t weight_blocks(const Grad& dw_EOI) {
  return dw_EOI ? (dw_EOI.dst.shape()[1] + kWeightRows - 1) / kWeightRows : 0;
}
/// A block of dw_e[out, in] = Σ_r left_rᵀ right_r over the expert's rows.
template <class T>
void backward_weight(const Grad& dw_EOI, std::int64_t e, std::int64_t block, std::int64_t rows,
                     const T* left_RO, const T* right_RI) {
  const std::int64_t out = dw_EOI.dst.shape()[1], in = dw_EOI.dst.shape()[2], first = block * kWeightRows;
  gemm_serial<T, Wide<T>>(std::min(kWeightRows, out - first), in, rows,
                          {left_RO + first, out, Transpose::yes}, {right_RI, in},
                          {dw_EOI.dst.data<Wide<T>>() + (e * out + first) * in, in, dw_EOI.beta});
}
/// A block of the gradient of w2. `kept` begins with the expert's first row.
template <class T>
void backward_w2(const BackwardArgs& args, const Piece& expert, std::int64_t block,
                 const RowGradients<T>& kept) {
  const T* const dy = args.dy_RD.data<const T>() + expert.begin * args.dy_RD.shape()[1];
  backward_weight<T>(args.dw2_EDF, expert.expert, block, expert.rows, dy, kept.a_RF);
}
/// A block of the gradient of w13. `kept` begins with the expert's first row.
template <class T>
void backward_w13(const BackwardArgs& args, const Piece& expert, std::int64_t block,
                  const RowGradients<T>& kept) {
  const T* const x = args.x_RD.data<const T>() + expert.begin * args.x_RD.shape()[1];
  backward_weight<T>(args.dw13_EGD, expert.expert, block, expert.rows, kept.dh_RG, x);
}

Piece rows_of_expert(Offsets offset, std::int64_t e) {
  const std::int64_t begin = offset[static_cast<std::size_t>(e)];
  return {e, begin, offset[static_cast<std::size_t>(e) + 1] - begin};
}
std::int64_t most_rows(Offsets offset) {
  std::int64_t most = 0;
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) most = std::max(most, offset[e + 1] - offset[e]);
  return most;
}
/// Whether threads can share the experts as they are. Then all rows are enough for the largest expert of
/// every thread.
bool shares_whole_experts(Offsets offset, std::int64_t threads) {
  return 2 * threads * most_rows(offset) <= offset.back();
}
/// The rows of the experts, those with most rows first.
std::vector<Piece> largest_first(Offsets offset) {
  std::vector<Piece> experts;
  for (std::int64_t e = 0; e + 1 < std::ssize(offset); ++e) experts.push_back(rows_of_expert(offset, e));
  std::ranges::stable_sort(experts, [](const Piece& a, const Piece& b) { return a.rows > b.rows; });
  return experts;
}

/// A thread computes all gradients of an expert, while its rows are in the caches. It uses the same rows of
/// `kept` for each expert.
template <class T>
void backward_whole_experts(const BackwardArgs& args, T* da_pieces, const RowGradients<T>& kept) {
  const std::int64_t f = args.w2_EDF.shape()[2], most = most_rows(args.offset_E1);
  const std::vector<Piece> experts = largest_first(args.offset_E1);
  args.dy_RD.context().pool().run(std::ssize(experts), [&](std::int64_t i) {
    const Piece& expert = experts[static_cast<std::size_t>(i)];
    const std::int64_t thread = ThreadPool::thread_index();
    const RowGradients<T> mine = kept.from(thread * most, f);
    for (std::int64_t r = 0; r < expert.rows; r += kRows) {
      const Piece piece{expert.expert, expert.begin + r, std::min(kRows, expert.rows - r)};
      backward_piece<T>(args, piece, da_pieces + thread * kRows * f, mine.from(r, f));
    }
    for (std::int64_t b = 0; b < weight_blocks(args.dw2_EDF); ++b) backward_w2<T>(args, expert, b, mine);
    for (std::int64_t b = 0; b < weight_blocks(args.dw13_EGD); ++b) backward_w13<T>(args, expert, b, mine);
  });
}

/// Threads share the pieces of all experts, and then the blocks of their weights' gradients.
template <class T>
void backward_pieces(const BackwardArgs& args, T* da_pieces, const RowGradients<T>& kept) {
  const std::int64_t f = args.w2_EDF.shape()[2], experts = args.w2_EDF.shape()[0];
  ThreadPool& pool = args.dy_RD.context().pool();
  pool.run(count_pieces(args.offset_E1), [&](std::int64_t i) {
    const Piece piece = piece_at(args.offset_E1, i);
    backward_piece<T>(args, piece, da_pieces + ThreadPool::thread_index() * kRows * f,
                      kept.from(piece.begin, f));
  });
  const auto run_blocks = [&](std::int64_t blocks, const auto& compute) {
    pool.run(experts * blocks, [&](std::int64_t task) {
      const Piece expert = rows_of_expert(args.offset_E1, task / blocks);
      compute(args, expert, task % blocks, kept.from(expert.begin, f));
    });
  };
  run_blocks(weight_blocks(args.dw13_EGD), backward_w13<T>);
  run_blocks(weight_blocks(args.dw2_EDF), backward_w2<T>);
}

void backward_cpu(const BackwardArgs& args, Workspace& workspace) {
  const std::int64_t f = args.w2_EDF.shape()[2], rows = args.dy_RD.shape()[0],
                     threads = args.dy_RD.context().pool().size();
  dispatch_storage(args.dy_RD.dtype(), [&]<class T>() {
    T* const da_pieces = workspace.take<T>(threads * kRows * f);
    const RowGradients<T> kept{workspace.take<T>(rows * f), workspace.take<T>(rows * 2 * f)};
    if (shares_whole_experts(args.offset_E1, threads)) {
      backward_whole_experts<T>(args, da_pieces, kept);
    } else {
      backward_pieces<T>(args, da_pieces, kept);
    }
  });
}
/// The bytes are enough for any counts, so that a plan of the memory need not know them.
std::int64_t backward_workspace(const BackwardArgs& args, int threads) {
  const std::int64_t rows = args.dy_RD.shape()[0], f = args.w2_EDF.shape()[2];
  const DType dtype = args.dy_RD.dtype();
  return workspace_bytes({{threads * kRows * f, dtype}, {rows * f, dtype}, {rows * 2 * f, dtype}});
}

void check(const Tensor& x, const Tensor& w13, const Tensor& w2, Offsets offset) {
  const std::int64_t experts = w2.shape()[0], d = w2.shape()[1], f = w2.shape()[2];
  GRANULE_CHECK(w13.shape() == Shape({experts, 2 * f, d}), "expert_ffn: w13 is {}, w2 {}", w13.shape().str(),
                w2.shape().str());
  GRANULE_CHECK(x.shape()[1] == d, "expert_ffn: x has {} features, w13 takes {}", x.shape()[1], d);
  GRANULE_CHECK(std::ssize(offset) == experts + 1 && offset.back() == x.shape()[0],
                "expert_ffn: offsets of {} experts, weights of {}; {} rows", std::ssize(offset) - 1, experts,
                x.shape()[0]);
}

}  // namespace

constinit KernelSlot<ForwardArgs> ExpertFfn::forward_kernel{"expert_ffn", forward_cpu, forward_workspace};
constinit KernelSlot<BackwardArgs> ExpertFfn::backward_kernel{"expert_ffn backward", backward_cpu,
                                                              backward_workspace};

Tensor ExpertFfn::forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_EGD, const Tensor& w2_EDF,
                          const std::vector<std::int64_t>& offset_E1) const {
  check(x_RD, w13_EGD, w2_EDF, offset_E1);
  Tensor y_RD = x_RD.empty_like(x_RD.shape());
  const Tensor h_RG = x_RD.empty_like({x_RD.shape()[0], w13_EGD.shape()[1]});
  forward_kernel({x_RD, w13_EGD, w2_EDF, offset_E1, h_RG, y_RD});
  if (saved != nullptr) *saved = {x_RD, h_RG, offset_E1};
  return y_RD;
}

void ExpertFfn::backward(const Saved& saved, const Tensor& w13_EGD, const Tensor& w2_EDF, const Tensor& dy_RD,
                         const Grad& dx_RD, const Grad& dw13_EGD, const Grad& dw2_EDF) const {
  backward_kernel(
      {saved.x_RD, saved.h_RG, saved.offset_E1, w13_EGD, w2_EDF, dy_RD, dx_RD, dw13_EGD, dw2_EDF});
}

}  // namespace granule
