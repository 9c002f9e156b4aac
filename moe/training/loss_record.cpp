#include "moe/training/loss_record.hpp"

#include <algorithm>
#include <numeric>

#include "core/kernels/fill.hpp"
#include "core/transfer.hpp"
#include "moe/model/model.hpp"
#include "moe/ops/add_scaled.hpp"

namespace granule {
namespace {

constexpr std::array kKinds{LossKind::balance, LossKind::device, LossKind::z};

std::size_t at(LossKind kind) {
  return static_cast<std::size_t>(kind);
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double mean(const std::vector<double>& values) {
  return values.empty() ? 0.0 : sum(values) / static_cast<double>(values.size());
}

}  // namespace

void LossReport::add_ranks(Communicator& ranks) {
  const std::array parts{&aux_by_layer, &device_aux_by_layer, &z_by_layer, &alpha_by_layer};
  // A rank that had nothing to do does not know which layers have which loss.
  std::array<std::int64_t, parts.size()> sizes{};
  for (std::size_t i = 0; i < parts.size(); ++i) sizes[i] = std::ssize(*parts[i]);
  ranks.all_reduce(std::span(sizes), ReduceOp::max, "loss sizes").wait();
  std::vector<double> sums{ce};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i]->resize(static_cast<std::size_t>(sizes[i]));
    sums.insert(sums.end(), parts[i]->begin(), parts[i]->end());
  }
  ranks.all_reduce(std::span(sums), ReduceOp::sum, "losses").wait();
  ce = sums[0];
  auto from = sums.begin() + 1;
  for (std::vector<double>* const part : parts) {
    std::copy_n(from, part->size(), part->begin());
    from += std::ssize(*part);
  }
}

double LossReport::aux() const {
  return mean(aux_by_layer);
}

double LossReport::device_aux() const {
  return mean(device_aux_by_layer);
}

double LossReport::z() const {
  return sum(z_by_layer);
}

LossRecord::LossRecord(Context& context, const MoeConfig& moe, std::vector<std::int64_t> layers)
    : layers_(std::move(layers)), alphas_(layers_.size()) {
  has_[at(LossKind::balance)] = has_[at(LossKind::z)] = moe.router == RouterKind::topk;
  has_[at(LossKind::device)] = moe.router == RouterKind::topk && moe.device_groups > 1;
  sums_ =
      Tensor::zeros(context, {place(LossKind::z, layers_.size())}, DType::f64, MemoryCategory::statistics);
}

void LossRecord::begin_step() {
  fill_zero(sums_);
  std::fill(alphas_.begin(), alphas_.end(), 0.0);
}

std::int64_t LossRecord::place(LossKind kind, std::size_t layer) const {
  return static_cast<std::int64_t>(1 + at(kind) * layers_.size() + layer);
}

void LossRecord::add_cross_entropy(const Tensor& loss, double factor) {
  add_scaled_kernel({loss, factor, sums_.slice(0, {1})});
}

void LossRecord::add(const LayerLoss& loss, const Tensor& value, double factor) {
  add_scaled_kernel({value, factor, sums_.slice(place(loss.kind, index_of(layers_, loss.layer)), {1})});
}

void LossRecord::add_alpha(std::int64_t layer, double weight) {
  alphas_[index_of(layers_, layer)] += weight;
}

LossReport LossRecord::report() {
  const HostCopy<double> copy = read_back<double>(sums_);
  const std::span<const double> sums = copy.get();
  LossReport report{.ce = sums[0]};
  std::array parts{&report.aux_by_layer, &report.device_aux_by_layer, &report.z_by_layer};
  for (const LossKind kind : kKinds) {
    if (!has_[at(kind)]) continue;
    const auto first = sums.begin() + place(kind, 0);
    parts[at(kind)]->assign(first, first + std::ssize(layers_));
  }
  if (has_[at(LossKind::balance)]) report.alpha_by_layer = alphas_;
  return report;
}

}  // namespace granule
