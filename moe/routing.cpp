#include "moe/routing.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace granule {

Tensor select_top_k(const Tensor& score_NE, std::int64_t k) {
  const std::int64_t n = score_NE.shape()[0], e = score_NE.shape()[1];
  GRANULE_CHECK(k >= 1 && k <= e, "top-k: {} of {} experts", k, e);
  Tensor id_NK = Tensor::empty(score_NE.context(), {n, k}, DType::i32);
  dispatch_float(score_NE.dtype(), [&]<class T>() {
    const T* const scores = score_NE.data<const T>();
    auto* const ids = id_NK.data<std::int32_t>();
    parallel_chunks(score_NE.context().pool(), n, 64, [&](std::int64_t begin, std::int64_t end) {
      std::vector<std::int32_t> order(static_cast<std::size_t>(e));
      for (std::int64_t i = begin; i < end; ++i) {
        const T* const row = scores + i * e;
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(
            order.begin(), order.begin() + k, order.end(),
            [row](std::int32_t a, std::int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
        std::copy_n(order.begin(), k, ids + i * k);
      }
    });
  });
  return id_NK;
}

Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units) {
  GRANULE_CHECK(units > 0 && id_NK.shape()[0] % units == 0, "count_choices: {} rows in {} equal units",
                id_NK.shape()[0], units);
  Tensor counts = Tensor::zeros(id_NK.context(), {units, experts}, DType::i64);
  auto* const count = counts.data<std::int64_t>();
  const auto ids = id_NK.span<const std::int32_t>();
  const std::size_t choices = ids.size() / static_cast<std::size_t>(units);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    GRANULE_CHECK(ids[i] >= 0 && ids[i] < experts, "count_choices: expert {} of {}", ids[i], experts);
    ++count[static_cast<std::int64_t>(i / choices) * experts + ids[i]];
  }
  return counts;
}

Routing sort_by_expert(const Tensor& id_NK, std::int64_t experts) {
  Context& context = id_NK.context();
  const std::int64_t n = id_NK.shape()[0], k = id_NK.shape()[1];
  Routing routing{n, k, Tensor::zeros(context, {experts + 1}, DType::i64),
                  Tensor::empty(context, {n * k}, DType::i32), Tensor::empty(context, {n, k}, DType::i32)};
  const auto ids = id_NK.span<const std::int32_t>();
  auto* const offset = routing.offset_E1.data<std::int64_t>();
  for (const std::int32_t id : ids) ++offset[id + 1];
  std::partial_sum(offset, offset + experts + 1, offset);
  std::vector<std::int64_t> next(offset, offset + experts);
  auto* const token = routing.token_R.data<std::int32_t>();
  auto* const row = routing.row_NK.data<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t place = next[static_cast<std::size_t>(ids[i])]++;
    token[place] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) / k);
    row[i] = static_cast<std::int32_t>(place);
  }
  return routing;
}

}  // namespace granule
