#include "apps/planning/traffic_plan.hpp"

#include <algorithm>
#include <numeric>

#include "distributed/zero/transient_slots.hpp"
#include "moe/model/model.hpp"

namespace granule {
namespace {

struct Group {
  std::string_view name;
  std::int64_t ranks;
};

/// Sums up collectives by group, kind and phase.
class Account {
 public:
  /// Adds `times` calls of each rank. `count` is the number of elements, as in Collective::count.
  void add(const Group& group, CollectiveKind kind, Phase phase, DType dtype, std::int64_t count,
           std::int64_t times = 1) {
    const Collective call{.kind = kind, .phase = phase, .dtype = dtype, .count = count};
    add(group, kind, phase, times, times * traffic_of(call, 0, static_cast<int>(group.ranks)));
  }
  /// Adds all-to-alls that together send `bytes` to other ranks.
  void add_exchange(const Group& group, Phase phase, std::int64_t calls, std::int64_t bytes) {
    add(group, CollectiveKind::all_to_all, phase, calls, bytes);
  }
  [[nodiscard]] std::vector<PlannedTraffic> rows() && { return std::move(rows_); }

 private:
  void add(const Group& group, CollectiveKind kind, Phase phase, std::int64_t calls, std::int64_t bytes) {
    if (group.ranks == 1 || calls == 0) return;
    const auto same = [&](const PlannedTraffic& row) {
      return row.group == group.name && row.kind == kind && row.phase == phase.name();
    };
    auto row = std::find_if(rows_.begin(), rows_.end(), same);
    if (row == rows_.end()) row = rows_.insert(row, {group.name, kind, phase.name()});
    row->calls += calls;
    row->bytes += bytes;
  }
  std::vector<PlannedTraffic> rows_;
};

/// The ranks of a job, and what they have to exchange in a step.
class TrafficPlan {
 public:
  explicit TrafficPlan(const PlanRequest& request)
      : request_(request),
        layout_(request.config.parallel),
        world_{"world", request.ranks},
        data_{"data", request.ranks / layout_.ep},
        expert_{"expert", layout_.ep} {
    const ModelConfig& model = request.config.model;
    mixtures_ = request.config.moe.count_moe_layers(model.num_hidden_layers);
    ParameterStore store;
    declare_parameters(store, model, request.config.moe, {.parts = layout_.ep});
    const MeshPosition world{.ranks = request.ranks, .ep = layout_.ep};
    store.lay_out(arena_layout(world));
    plan_ = make_shard_plan(store, world);
    units_ = store.units();
  }

  std::vector<PlannedTraffic> rows() && {
    add_tokens();
    add_gradients();
    add_values();
    add_reports();
    return std::move(account_).rows();
  }

 private:
  [[nodiscard]] const Group& group_of(const BucketShard& shard) const {
    return shard.bucket.group == ParameterGroup::dense ? world_ : data_;
  }

  /// Token copies travel to their experts and back, in forward and backward. See MoeLayer and RemoteExperts.
  void add_tokens() {
    const RunConfig& config = request_.config;
    const std::int64_t passes = mixtures_ * request_.micro_batches();
    const auto rows = rows_by_expert(config.moe, config.train.micro_batch_size * config.data.seq_len,
                                     MicroBatchShape::Load::uniform);
    const auto own = rows.begin() + config.moe.n_routed_experts / layout_.ep;  // the end of rank 0's experts
    const std::int64_t others = std::accumulate(own, rows.end(), std::int64_t{0});
    const std::int64_t received = layout_.ep * std::accumulate(rows.begin(), own, std::int64_t{0});
    const std::int64_t limit =
        layout_.receive_limit > 0 ? layout_.receive_limit : std::max<std::int64_t>(received, 1);
    const std::int64_t rounds = std::max<std::int64_t>(1, (received + limit - 1) / limit);
    const std::int64_t forwards = config.train.recompute == Recompute::none ? 1 : 2;
    const auto add = [&](Phase phase, std::int64_t times) {  // rounds divide the same rows
      account_.add_exchange(expert_, phase, passes * times * rounds,
                            passes * times * others * config.model.hidden_size * size_of(request_.dtype));
    };
    account_.add(expert_, CollectiveKind::all_gather, "expert counts", DType::i64,
                 config.moe.n_routed_experts, passes);
    add("expert rows", rounds > 1 ? forwards + 1 : forwards);  // backward of several rounds sends them again
    add("expert outputs", forwards);
    add("expert output gradients", 1);
    add("expert row gradients", 1);
  }

  void add_gradients() {
    const DType dtype = request_.precision().gradients;
    const std::int64_t times = layout_.stage() >= ZeroStage::gradients ? request_.micro_batches() : 1;
    for (const BucketShard& shard : plan_.shards) {
      if (layout_.stage() == ZeroStage::nothing) {
        account_.add(group_of(shard), CollectiveKind::all_reduce, "gradients", dtype, shard.bucket.size);
      } else {
        account_.add(group_of(shard), CollectiveKind::reduce_scatter, "gradients", dtype, shard.size(),
                     times);
      }
    }
  }

  void add_values() {
    if (layout_.stage() == ZeroStage::nothing) return;
    std::vector<std::int64_t> times(plan_.shards.size(), 1);  // for each shard
    if (layout_.stage() == ZeroStage::values) {
      const TransientPlan transient = make_transient_plan(plan_, units_, plan_.shards.size());
      const std::vector<std::int64_t> gathers = gathers_of_step(transient, request_.micro_batches());
      for (std::size_t i = 0; i < transient.groups.size(); ++i) {
        for (const std::size_t shard : transient.groups[i].shards) times[shard] = gathers[i];
      }
    }
    for (std::size_t i = 0; i < times.size(); ++i) {
      account_.add(group_of(plan_.shards[i]), CollectiveKind::all_gather, "values", request_.dtype,
                   plan_.shards[i].size(), times[i]);
    }
  }

  /// What ranks report to each other about a step: LossReport, RouterRecord, the norm, the end of the step.
  void add_reports() {
    const MoeConfig& moe = request_.config.moe;
    const bool scored = moe.router == RouterKind::topk;
    const std::int64_t losses = scored ? mixtures_ * (moe.device_groups > 1 ? 4 : 3) : 0;
    const auto reduce = [&](Phase phase, DType dtype, std::int64_t count, std::int64_t times = 1) {
      account_.add(world_, CollectiveKind::all_reduce, phase, dtype, count, times);
    };
    reduce("loss sizes", DType::i64, 4);
    reduce("losses", DType::f64, 1 + losses);
    reduce("router counts", DType::i64, mixtures_ * (2 * moe.n_routed_experts + 1));
    reduce("router entropies", DType::f64, mixtures_);
    reduce("balance gradients", request_.precision().gradients,
           moe.n_routed_experts * request_.config.model.hidden_size, mixtures_);
    reduce("gradient norm", DType::f64, 1);
    reduce("norm check", DType::i64, 2);
    reduce("router statistics", DType::f64, 2 * mixtures_);
    reduce("step end", DType::i64, 3);
  }

  const PlanRequest& request_;
  ParallelLayout layout_;
  Group world_, data_, expert_;
  std::int64_t mixtures_ = 0;
  ShardPlan plan_;
  std::int64_t units_ = 0;
  Account account_;
};

}  // namespace

std::vector<PlannedTraffic> plan_traffic(const PlanRequest& request) {
  return TrafficPlan(request).rows();
}

}  // namespace granule
