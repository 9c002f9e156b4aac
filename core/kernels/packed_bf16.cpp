#include "core/kernels/packed_bf16.hpp"

#include "core/error.hpp"
#include "core/kernels/bf16_units-inl.hpp"

namespace granule {
namespace {

/// Elements of a panel: pairs along k of its columns.
std::int64_t panel_size(std::int64_t k) {
  return (k + k % 2) * kPanelColumns;
}

}  // namespace

std::int64_t packed_bf16_size(std::int64_t n, std::int64_t k) {
  return (n + kPanelColumns - 1) / kPanelColumns * panel_size(k);
}

#ifdef GRANULE_BF16

using namespace bf16_units;
static_assert(kColumns == kPanelColumns);

void pack_bf16(std::int64_t n, std::int64_t k, MatrixIn<bf16> b, bf16* packed) {
  for (std::int64_t j = 0; j < n; j += kColumns, packed += panel_size(k)) {
    const std::int64_t columns = std::min(kColumns, n - j);
    if (b.transpose == Transpose::yes) {
      pack_columns(b.data + j * b.pitch, b.pitch, k, columns, packed);
    } else {
      pack_rows(b.data + j, b.pitch, k, columns, kColumns, packed);
    }
  }
}

void packed_gemm_bf16(Bf16Units units, std::int64_t m, MatrixIn<bf16> a, const bf16* packed, std::int64_t k,
                      Range terms, Range columns, MatrixOut<float> c) {
  thread_local std::vector<bf16> rows_of_a;
  thread_local std::vector<float> sums;
  const Pairs pairs = pairs_of(units, m, terms.size(), a, rows_of_a);
  sums.resize(static_cast<std::size_t>(m * kColumns));
  const std::int64_t steps = (terms.size() + 1) / 2;
  for (std::int64_t j = columns.begin; j < columns.end; j += kColumns) {
    const bf16* const panel = packed + j / kColumns * panel_size(k) + terms.begin * kColumns;
    multiply_panel(
        units, m, pairs, panel, steps, false,
        [&](std::int64_t) {
          return Ahead{panel, panel, 0};
        },
        sums.data());
    write_columns<float>(m, std::min(kColumns, columns.end - j), sums.data(),
                         {c.data + j - columns.begin, c.pitch, c.beta});
  }
}

#else

void pack_bf16(std::int64_t, std::int64_t, MatrixIn<bf16>, bf16*) {
  GRANULE_ASSERT(false, "this program cannot use bf16 units");
}
void packed_gemm_bf16(Bf16Units, std::int64_t, MatrixIn<bf16>, const bf16*, std::int64_t, Range, Range,
                      MatrixOut<float>) {
  GRANULE_ASSERT(false, "this program cannot use bf16 units");
}

#endif

}  // namespace granule
