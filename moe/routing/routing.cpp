#include "moe/routing/routing.hpp"

#include <numeric>
#include <vector>

namespace granule {

Routing sort_by_expert(const Tensor& id_NK, std::int64_t experts) {
  Context& context = id_NK.context();
  const std::int64_t n = id_NK.shape()[0], k = id_NK.shape()[1];
  const Tensor offset_E1 = Tensor::zeros(context, {experts + 1}, DType::i64);
  auto* const offset = offset_E1.data<std::int64_t>();
  const auto ids = id_NK.span<const std::int32_t>();
  for (const std::int32_t id : ids) {
    GRANULE_CHECK(id >= -1 && id < experts, "sort_by_expert: expert {} of {}", id, experts);
    if (id >= 0) ++offset[id + 1];
  }
  std::partial_sum(offset, offset + experts + 1, offset);
  Routing routing{n, k, offset_E1, Tensor::empty(context, {offset[experts]}, DType::i32),
                  Tensor::empty(context, {n, k}, DType::i32)};
  std::vector<std::int64_t> next(offset, offset + experts);
  auto* const token = routing.token_R.data<std::int32_t>();
  auto* const row = routing.row_NK.data<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    row[i] = -1;
    if (ids[i] < 0) continue;
    const std::int64_t place = next[static_cast<std::size_t>(ids[i])]++;
    token[place] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) / k);
    row[i] = static_cast<std::int32_t>(place);
  }
  return routing;
}

}  // namespace granule
