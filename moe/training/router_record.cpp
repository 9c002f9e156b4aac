#include "moe/training/router_record.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/kernels/accumulate.hpp"
#include "core/kernels/fill.hpp"
#include "moe/model/model.hpp"
#include "moe/ops/gradient_shares.hpp"

namespace granule {

LoadStatistics load_statistics(std::span<const std::int64_t> counts) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  if (counts.empty() || total == 0.0) return {0.0, 0.0, static_cast<std::int64_t>(counts.size())};
  const double mean = total / static_cast<double>(counts.size());
  double squares = 0.0;
  for (const std::int64_t count : counts) squares += std::pow(static_cast<double>(count) - mean, 2);
  return {static_cast<double>(*std::max_element(counts.begin(), counts.end())) / mean,
          std::sqrt(squares / static_cast<double>(counts.size())) / mean,
          std::count(counts.begin(), counts.end(), 0)};
}

RouterRecord::RouterRecord(Context& context, std::vector<std::int64_t> layers, std::int64_t experts)
    : layers_(std::move(layers)), experts_(experts), tokens_(layers_.size()) {
  const auto count = static_cast<std::int64_t>(layers_.size());
  count_2LE_ = Tensor::zeros(context, {2, count, experts}, DType::i64, MemoryCategory::statistics);
  real_3L_ = Tensor::zeros(context, {3, count}, DType::f64, MemoryCategory::statistics);
}

void RouterRecord::measure_balance(DType dtype, std::int64_t hidden) {
  for (const std::int64_t layer : layers_) {
    balance_.resize(static_cast<std::size_t>(layer + 1));
    balance_.back() =
        Tensor::zeros(real_3L_.context(), {experts_, hidden}, dtype, MemoryCategory::statistics);
  }
}

void RouterRecord::begin_step() {
  change();
  fill_zero(count_2LE_);
  fill_zero(real_3L_);
  std::fill(tokens_.begin(), tokens_.end(), 0);
  for (const Tensor& gradient : balance_) {
    if (gradient.defined()) fill_zero(gradient);
  }
}

void RouterRecord::on_routing(const RoutingNote& note) {
  change();
  const std::size_t index = index_of(layers_, note.layer);
  const auto i = static_cast<std::int64_t>(index);
  accumulate(note.count_E, {count_2LE_.slice(i * experts_, {experts_}), 1.0});
  accumulate(note.dropped_E, {count_2LE_.slice((layers() + i) * experts_, {experts_}), 1.0});
  if (note.entropy.defined()) accumulate(note.entropy, {real_3L_.slice(i, {1}), 1.0});
  tokens_[index] += note.tokens;
}

void RouterRecord::add_balance_of_ranks(Communicator& ranks) {
  std::vector<Pending> pending;
  for (const Tensor& gradient : balance_) {
    if (gradient.defined()) pending.push_back(ranks.all_reduce(gradient, "balance gradients"));
  }
  for (Pending& one : pending) one.wait();
}

void RouterRecord::measure_shares(std::int64_t i, std::int64_t begin, const Tensor& gradient) {
  if (balance_.empty()) return;
  change();
  const auto layer = static_cast<std::size_t>(layers_[static_cast<std::size_t>(i)]);
  const Tensor of_balance = balance_[layer].slice(begin, {gradient.numel()});
  gradient_shares_kernel({gradient, of_balance, real_3L_.slice(layers() + 2 * i, {2})});
}

void RouterRecord::change() {
  counts_copy_ = {};
  reals_copy_ = {};
  fresh_ = false;
}

void RouterRecord::start_reading() const {
  if (counts_copy_.defined()) return;
  counts_copy_ = read_back<std::int64_t>(count_2LE_);
  reals_copy_ = read_back<double>(real_3L_);
}

RouterRecord::Sums& RouterRecord::sums() const {
  if (std::exchange(fresh_, true)) return sums_;
  start_reading();
  const auto counts = counts_copy_.get();
  const auto reals = reals_copy_.get();
  const auto dropped = counts.begin() + std::ssize(counts) / 2;
  sums_.counts.assign(counts.begin(), dropped);
  sums_.dropped.assign(dropped, counts.end());
  sums_.entropies.assign(reals.begin(), reals.begin() + layers());
  sums_.shares.clear();
  for (std::size_t i = layers_.size(); i < reals.size(); i += 2)
    sums_.shares.push_back({reals[i], reals[i + 1]});
  return sums_;
}

std::span<const std::int64_t> RouterRecord::of_layer(const std::vector<std::int64_t>& all,
                                                     std::int64_t i) const {
  return std::span(all).subspan(static_cast<std::size_t>(i * experts_), static_cast<std::size_t>(experts_));
}

std::span<const std::int64_t> RouterRecord::counts() const {
  return sums().counts;
}

std::span<const std::int64_t> RouterRecord::counts(std::int64_t i) const {
  return of_layer(sums().counts, i);
}

std::span<const std::int64_t> RouterRecord::dropped(std::int64_t i) const {
  return of_layer(sums().dropped, i);
}

double RouterRecord::entropy(std::int64_t i) const {
  const std::int64_t tokens = tokens_[static_cast<std::size_t>(i)];
  return tokens > 0 ? sums().entropies[static_cast<std::size_t>(i)] / static_cast<double>(tokens) : 0.0;
}

GradientShares RouterRecord::gradient_shares(std::int64_t i) const {
  return sums().shares[static_cast<std::size_t>(i)];
}

double GradientShares::balance_over_ce() const {
  return balance == 0.0 ? 0.0 : std::sqrt(balance / ce);
}

void RouterRecord::add_ranks(Communicator& ranks) {
  Sums& mine = sums();
  std::vector<std::int64_t> all = mine.counts;
  all.insert(all.end(), mine.dropped.begin(), mine.dropped.end());
  all.insert(all.end(), tokens_.begin(), tokens_.end());
  Pending counts = ranks.all_reduce(std::span(all), ReduceOp::sum, "router counts");
  ranks.all_reduce(std::span(mine.entropies), ReduceOp::sum, "router entropies").wait();
  counts.wait();
  const auto size = std::ssize(mine.counts);
  std::copy_n(all.begin(), size, mine.counts.begin());
  std::copy_n(all.begin() + size, size, mine.dropped.begin());
  std::copy(all.begin() + 2 * size, all.end(), tokens_.begin());
}

}  // namespace granule
