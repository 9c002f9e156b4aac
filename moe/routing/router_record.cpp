#include "moe/routing/router_record.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/kernels/fill.hpp"
#include "core/transfer.hpp"
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

RouterRecord::RouterRecord(std::vector<std::int64_t> layers, std::int64_t experts)
    : layers_(std::move(layers)),
      experts_(experts),
      counts_(layers_.size() * static_cast<std::size_t>(experts)),
      dropped_(counts_.size()),
      rows_(layers_.size()) {}

void RouterRecord::measure_balance(Context& context, DType dtype, std::int64_t hidden) {
  for (std::size_t i = 0; i < layers_.size(); ++i)
    balance_.push_back(Tensor::zeros(context, {experts_, hidden}, dtype, MemoryCategory::statistics));
}

void RouterRecord::begin_step() {
  std::fill(counts_.begin(), counts_.end(), 0);
  std::fill(dropped_.begin(), dropped_.end(), 0);
  std::fill(rows_.begin(), rows_.end(), Row{});
  for (const Tensor& gradient : balance_) fill_zero(gradient);
}

std::span<const std::int64_t> RouterRecord::counts(std::int64_t i) const {
  return std::span(counts_).subspan(static_cast<std::size_t>(i * experts_),
                                    static_cast<std::size_t>(experts_));
}

std::span<const std::int64_t> RouterRecord::dropped(std::int64_t i) const {
  return std::span(dropped_).subspan(static_cast<std::size_t>(i * experts_),
                                     static_cast<std::size_t>(experts_));
}

double RouterRecord::entropy(std::int64_t i) const {
  const Row& row = rows_[static_cast<std::size_t>(i)];
  return row.tokens > 0 ? row.entropy / static_cast<double>(row.tokens) : 0.0;
}

std::size_t RouterRecord::index_of(std::int64_t layer) const {
  const auto found = std::find(layers_.begin(), layers_.end(), layer);
  GRANULE_CHECK(found != layers_.end(), "router record: layer {} is not an MoE layer", layer);
  return static_cast<std::size_t>(found - layers_.begin());
}

void RouterRecord::on_routing(const RoutingNote& note) {
  const std::size_t i = index_of(note.layer);
  const auto counts = note.count_E.span<const std::int64_t>(),
             dropped = note.dropped_E.span<const std::int64_t>();
  for (std::size_t e = 0; e < counts.size(); ++e) {
    counts_[i * static_cast<std::size_t>(experts_) + e] += counts[e];
    dropped_[i * static_cast<std::size_t>(experts_) + e] += dropped[e];
  }
  rows_[i].tokens += note.tokens;
  rows_[i].entropy += note.entropy;
}

Tensor RouterRecord::balance_gradient(std::int64_t layer) {
  return balance_.empty() ? Tensor{} : balance_[index_of(layer)];
}

double GradientShares::balance_over_ce() const {
  return balance == 0.0 ? 0.0 : std::sqrt(balance / ce);
}

GradientShares RouterRecord::gradient_shares(std::int64_t i, std::int64_t begin,
                                             const Tensor& gradient) const {
  if (balance_.empty()) return {};
  const Tensor of_balance = balance_[static_cast<std::size_t>(i)].slice(begin, {gradient.numel()});
  const Tensor sum_2 = Tensor::zeros(gradient.context(), {2}, DType::f64, MemoryCategory::statistics);
  gradient_shares_kernel({gradient, of_balance, sum_2});
  const HostCopy<double> sums = read_back<double>(sum_2);
  return {sums.get()[0], sums.get()[1]};
}

void RouterRecord::add_ranks(Communicator& ranks) {
  std::vector<Pending> pending;
  std::vector<double> entropies;
  std::vector<std::int64_t> sums = counts_;
  sums.insert(sums.end(), dropped_.begin(), dropped_.end());
  for (const Row& row : rows_) {
    sums.push_back(row.tokens);
    entropies.push_back(row.entropy);
  }
  pending.push_back(ranks.all_reduce(std::span(sums), ReduceOp::sum, "router counts"));
  pending.push_back(ranks.all_reduce(std::span(entropies), ReduceOp::sum, "router entropies"));
  for (const Tensor& gradient : balance_) pending.push_back(ranks.all_reduce(gradient, "balance gradients"));
  for (Pending& one : pending) one.wait();
  std::copy_n(sums.begin(), counts_.size(), counts_.begin());
  std::copy_n(sums.begin() + std::ssize(counts_), dropped_.size(), dropped_.begin());
  for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i] = {sums[2 * counts_.size() + i], entropies[i]};
}

}  // namespace granule
