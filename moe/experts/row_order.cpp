#include "moe/experts/row_order.hpp"

#include <algorithm>
#include <numeric>

namespace granule {
namespace {

void expert_offsets_cpu(const ExpertOffsetsArgs& args) {
  const std::int64_t experts = args.offset_E1.numel() - 1;
  auto* const offset = args.offset_E1.data<std::int64_t>();
  std::fill_n(offset, experts + 1, 0);
  const auto* const ids = args.id_NK.data<const std::int32_t>();
  for (std::int64_t i = 0; i < args.id_NK.numel(); ++i) {
    GRANULE_CHECK(ids[i] >= -1 && ids[i] < experts, "sort_by_expert: expert {} of {}", ids[i], experts);
    if (ids[i] >= 0) ++offset[ids[i] + 1];
  }
  std::partial_sum(offset, offset + experts + 1, offset);
}

/// The workspace has the next free row of each expert.
void place_copies_cpu(const PlaceCopiesArgs& args, Workspace& workspace) {
  const std::int64_t experts = args.offset_E1.numel() - 1, k = args.id_NK.shape()[1];
  const auto* const offset = args.offset_E1.data<const std::int64_t>();
  GRANULE_CHECK(offset[experts] == args.token_R.numel(), "sort_by_expert: {} copies are sent, not {}",
                offset[experts], args.token_R.numel());
  auto* const next = workspace.take<std::int64_t>(experts);
  std::copy_n(offset, experts, next);
  const auto* const ids = args.id_NK.data<const std::int32_t>();
  auto* const token = args.token_R.data<std::int32_t>();
  auto* const row = args.row_NK.data<std::int32_t>();
  for (std::int64_t i = 0; i < args.id_NK.numel(); ++i) {
    row[i] = -1;
    if (ids[i] < 0) continue;
    const std::int64_t place = next[ids[i]]++;
    token[place] = static_cast<std::int32_t>(i / k);
    row[i] = static_cast<std::int32_t>(place);
  }
}
std::int64_t place_copies_workspace(const PlaceCopiesArgs& args, int /*threads*/) {
  return workspace_bytes({{args.offset_E1.numel() - 1, DType::i64}});
}

}  // namespace

constinit KernelSlot<ExpertOffsetsArgs> expert_offsets_kernel{"expert_offsets", expert_offsets_cpu};
constinit KernelSlot<PlaceCopiesArgs> place_copies_kernel{"place_copies", place_copies_cpu,
                                                          place_copies_workspace};

namespace {

Tensor count_offsets(const Tensor& id_NK, std::int64_t experts) {
  const Tensor offset_E1 = Tensor::empty(id_NK.context(), {experts + 1}, DType::i64);
  expert_offsets_kernel({id_NK, offset_E1});
  return offset_E1;
}

RowOrder place_copies(const Tensor& id_NK, const Tensor& offset_E1, HostCopy<std::int64_t> on_host,
                      std::int64_t rows) {
  Context& context = id_NK.context();
  RowOrder order{id_NK.shape()[0], id_NK.shape()[1], Tensor::empty(context, {rows}, DType::i32),
                 Tensor::empty(context, id_NK.shape(), DType::i32), std::move(on_host)};
  place_copies_kernel({id_NK, offset_E1, order.token_R, order.row_NK});
  return order;
}

}  // namespace

RowOrder sort_by_expert(const Tensor& id_NK, std::int64_t experts, Sent sent) {
  const Tensor offset_E1 = count_offsets(id_NK, experts);
  HostCopy<std::int64_t> on_host = read_back<std::int64_t>(offset_E1);
  const std::int64_t rows = sent == Sent::all ? id_NK.numel() : on_host.get().back();
  return place_copies(id_NK, offset_E1, std::move(on_host), rows);
}

RowOrder sort_by_expert(const Tensor& id_NK, const std::vector<std::int64_t>& count_E) {
  const Tensor offset_E1 = count_offsets(id_NK, std::ssize(count_E));
  std::vector<std::int64_t> known(count_E.size() + 1);
  std::partial_sum(count_E.begin(), count_E.end(), known.begin() + 1);
  const std::int64_t rows = known.back();
  return place_copies(id_NK, offset_E1, {offset_E1, std::move(known)}, rows);
}

}  // namespace granule
