// Compares experts that are sharded over thread ranks with the same experts on one rank. Only the operator is
// tested here.
#include "moe/ops/remote_experts.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "distributed/communicators/mesh.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Counts = std::vector<std::vector<std::int64_t>>;  // [source][expert]

// The same sums of about ten terms, with an expert's rows in other batches. That is about ten roundings of
// 1e-16.
constexpr double kTolerance = 1e-12;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// Rows of every rank for every expert. Their values are a function of (rank, row) alone.
struct Problem {
  std::string name;
  Counts counts;
  std::int64_t d = 6, f = 5;

  [[nodiscard]] std::int64_t ranks() const { return std::ssize(counts); }
  [[nodiscard]] std::int64_t experts() const { return std::ssize(counts[0]); }
  [[nodiscard]] std::int64_t rows(std::int64_t rank) const {
    std::int64_t sum = 0;
    for (const std::int64_t count : counts[at(rank)]) sum += count;
    return sum;
  }
  [[nodiscard]] Numbers x(std::int64_t rank) const { return normal_values(rows(rank) * d, 100 + at(rank)); }
  [[nodiscard]] Numbers dy(std::int64_t rank) const { return normal_values(rows(rank) * d, 200 + at(rank)); }
  [[nodiscard]] Numbers w13() const { return normal_values(experts() * 2 * f * d, 1); }
  [[nodiscard]] Numbers w2() const { return normal_values(experts() * d * f, 2); }
};

/// The results: rows of each rank in its own order, and weight gradients of all experts.
struct Outcome {
  std::vector<Numbers> y, dx;
  Numbers dw13, dw2;
};

double difference(const Outcome& a, const Outcome& b) {
  double worst = std::max(relative_difference(std::span<const double>(a.dw13), b.dw13),
                          relative_difference(std::span<const double>(a.dw2), b.dw2));
  for (std::size_t r = 0; r < b.y.size(); ++r) {
    worst = std::max({worst, relative_difference(std::span<const double>(a.y[r]), b.y[r]),
                      relative_difference(std::span<const double>(a.dx[r]), b.dx[r])});
  }
  return worst;
}

/// Pairs (rank, row of that rank), in the order of one rank that has all of them: by expert, then by rank.
std::vector<std::pair<std::int64_t, std::int64_t>> sorted_rows(const Problem& p) {
  std::vector<std::pair<std::int64_t, std::int64_t>> order;
  std::vector<std::int64_t> next(at(p.ranks()));
  for (std::int64_t e = 0; e < p.experts(); ++e) {
    for (std::int64_t r = 0; r < p.ranks(); ++r) {
      for (std::int64_t i = 0; i < p.counts[at(r)][at(e)]; ++i) order.emplace_back(r, next[at(r)]++);
    }
  }
  return order;
}

Numbers merged(const Problem& p, const std::vector<Numbers>& by_rank) {
  Numbers all;
  for (const auto& [rank, row] : sorted_rows(p)) {
    const auto* const from = by_rank[at(rank)].data() + row * p.d;
    all.insert(all.end(), from, from + p.d);
  }
  return all;
}

std::vector<Numbers> split(const Problem& p, const Numbers& all) {
  std::vector<Numbers> by_rank;
  for (std::int64_t r = 0; r < p.ranks(); ++r) by_rank.emplace_back(at(p.rows(r) * p.d));
  const double* from = all.data();
  for (const auto& [rank, row] : sorted_rows(p)) {
    std::copy_n(from, p.d, by_rank[at(rank)].data() + row * p.d);
    from += p.d;
  }
  return by_rank;
}

/// All experts are on one rank.
Outcome on_one_rank(const Problem& p) {
  TestContext context;
  std::vector<Numbers> x, dy;
  std::int64_t rows = 0;
  for (std::int64_t r = 0; r < p.ranks(); ++r) {
    x.push_back(p.x(r));
    dy.push_back(p.dy(r));
    rows += p.rows(r);
  }
  std::vector<std::int64_t> offset{0};
  for (std::int64_t e = 0; e < p.experts(); ++e) {
    std::int64_t count = 0;
    for (std::int64_t r = 0; r < p.ranks(); ++r) count += p.counts[at(r)][at(e)];
    offset.push_back(offset.back() + count);
  }
  const Tensor w13 = tensor_of(context, {p.experts(), 2 * p.f, p.d}, DType::f64, p.w13());
  const Tensor w2 = tensor_of(context, {p.experts(), p.d, p.f}, DType::f64, p.w2());
  ExpertFfn::Saved saved;
  const Tensor y =
      ExpertFfn{}.forward(&saved, tensor_of(context, {rows, p.d}, DType::f64, merged(p, x)), w13, w2, offset);
  const Tensor dx = y.empty_like(y.shape()), dw13 = w13.empty_like(w13.shape()),
               dw2 = w2.empty_like(w2.shape());
  ExpertFfn{}.backward(saved, w13, w2, tensor_of(context, {rows, p.d}, DType::f64, merged(p, dy)), {dx, 0.0},
                       {dw13, 0.0}, {dw2, 0.0});
  return {split(p, values_of(y)), split(p, values_of(dx)), values_of(dw13), values_of(dw2)};
}

std::vector<std::int64_t> counts_of(const Problem& p) {
  std::vector<std::int64_t> counts;
  for (const auto& row : p.counts) counts.insert(counts.end(), row.begin(), row.end());
  return counts;
}

Tensor slice_of(Context& context, const Shape& shape, const Numbers& all, std::int64_t part) {
  const auto first = all.begin() + part * shape.numel();
  return tensor_of(context, shape, DType::f64, Numbers(first, first + shape.numel()));
}

/// One rank's share of a problem, ready to run.
struct Share {
  ExchangePlan plan;
  Tensor x, dy, w13, w2;
  Share(const Problem& p, Communicator& ranks, Context& context, std::int64_t limit)
      : plan(counts_of(p), ranks.size(), ranks.rank(), limit) {
    const std::int64_t rank = ranks.rank(), local = p.experts() / p.ranks();
    x = tensor_of(context, {p.rows(rank), p.d}, DType::f64, p.x(rank));
    dy = tensor_of(context, x.shape(), DType::f64, p.dy(rank));
    w13 = slice_of(context, {local, 2 * p.f, p.d}, p.w13(), rank);
    w2 = slice_of(context, {local, p.d, p.f}, p.w2(), rank);
  }
};

/// Gradients start as `before`. If beta is 1, the results are added to that.
Outcome on_ranks(const Problem& p, std::int64_t limit, double beta = 0.0, double before = NAN) {
  std::vector<Outcome> parts(at(p.ranks()));
  run_ranks(static_cast<int>(p.ranks()), [&](Communicator& ranks, Context& context) {
    const Share share(p, ranks, context, limit);
    const RemoteExperts op{&ranks};
    RemoteExperts::Saved saved;
    const auto filled = [&](const Tensor& like) {
      return tensor_of(context, like.shape(), DType::f64, Numbers(at(like.numel()), before));
    };
    const Tensor dx = filled(share.x), dw13 = filled(share.w13), dw2 = filled(share.w2);
    const Tensor unrecorded = op.forward(nullptr, share.x, share.w13, share.w2, share.plan);
    const Tensor y = op.forward(&saved, share.x, share.w13, share.w2, share.plan);
    expect(same_bits(y, unrecorded), "the same bits, recorded or not");
    op.backward(saved, share.w13, share.w2, share.dy, {dx, beta}, {dw13, beta}, {dw2, beta});
    parts[at(ranks.rank())] = {{values_of(y)}, {values_of(dx)}, values_of(dw13), values_of(dw2)};
  });
  Outcome all;
  for (const Outcome& part : parts) {
    all.y.push_back(part.y[0]);
    all.dx.push_back(part.dx[0]);
    all.dw13.insert(all.dw13.end(), part.dw13.begin(), part.dw13.end());
    all.dw2.insert(all.dw2.end(), part.dw2.begin(), part.dw2.end());
  }
  return all;
}

std::vector<Problem> problems(std::int64_t ranks) {
  const std::int64_t experts = 4;
  Problem mixed{"mixed", {}}, one{"all to one expert", {}}, idle{"an idle expert and an idle rank", {}},
      nothing{"no row at all", {}}, own{"every rank its own expert", {}};
  for (std::int64_t r = 0; r < ranks; ++r) {
    mixed.counts.push_back({(r + 3) % 4, 2 + r, 1, (3 * r + 2) % 5});
    one.counts.push_back({0, 0, 5 + r, 0});
    idle.counts.push_back({r, 0, 2 * r, r});
    nothing.counts.emplace_back(at(experts));
    own.counts.emplace_back(at(experts));
    own.counts.back()[at(r * experts / ranks)] = 4;
  }
  return {mixed, one, idle, nothing, own};
}

}  // namespace

TEST_CASE(
    "remote_experts: thread ranks that shard experts compute what one rank computes, whatever they may "
    "receive") {
  for (const std::int64_t ranks : {1, 2, 4}) {
    for (const Problem& problem : problems(ranks)) {
      const Outcome expected = on_one_rank(problem);
      for (const std::int64_t limit : {0, 1, 3, 1000}) {
        CAPTURE(ranks, problem.name, limit);
        CHECK(difference(on_ranks(problem, limit), expected) <= kTolerance);
      }
    }
  }
}

TEST_CASE(
    "remote_experts: thread ranks with remote experts add to gradients that are there, in one round and in "
    "several") {
  const Problem problem = problems(2)[0];
  Outcome expected = on_one_rank(problem);
  const auto add_two = [](Numbers& numbers) {
    for (double& number : numbers) number += 2.0;
  };
  for (Numbers& dx : expected.dx) add_two(dx);
  add_two(expected.dw13);
  add_two(expected.dw2);
  for (const std::int64_t limit : {0, 3}) {
    CAPTURE(limit);
    CHECK(difference(on_ranks(problem, limit, 1.0, 2.0), expected) <= kTolerance);
  }
}

TEST_CASE("remote_experts: thread ranks with remote experts make each gradient alone, with the same bits") {
  const Problem problem = problems(2)[0];
  for (const std::int64_t limit : {0, 3}) {
    CAPTURE(limit);
    run_ranks(2, [&](Communicator& ranks, Context& context) {
      const Share share(problem, ranks, context, limit);
      const RemoteExperts op{&ranks};
      RemoteExperts::Saved saved;
      static_cast<void>(op.forward(&saved, share.x, share.w13, share.w2, share.plan));
      const auto gradients = [&](bool x, bool w13, bool w2) {
        const auto wanted = [](bool is, const Tensor& like) {
          return Grad{is ? like.empty_like(like.shape()) : Tensor{}, 0.0};
        };
        const std::vector<Grad> grads{wanted(x, share.x), wanted(w13, share.w13), wanted(w2, share.w2)};
        op.backward(saved, share.w13, share.w2, share.dy, grads[0], grads[1], grads[2]);
        return grads;
      };
      const auto all = gradients(true, true, true);
      expect(same_bits(gradients(true, false, false)[0].dst, all[0].dst), "dx alone");
      expect(same_bits(gradients(false, true, false)[1].dst, all[1].dst), "dw13 alone");
      expect(same_bits(gradients(false, false, true)[2].dst, all[2].dst), "dw2 alone");
    });
  }
}

TEST_CASE(
    "remote_experts: thread ranks hold as many received rows as the limit allows and not one more, all to "
    "one expert") {
  const std::int64_t limit = 16, rows = 200;
  const Problem problem{"all to one expert", {{0, 0, 0, rows}, {0, 0, 0, rows}}, 256, 8};
  // As moe/ops/remote_experts.hpp says. The products of the experts also need a tile of 256 rows, whatever
  // the number of rows.
  const std::int64_t element = 8, own = rows * problem.d * element;
  const auto needed = [&](std::int64_t received, std::int64_t d, std::int64_t f) {
    return element * (received * (d * problem.d + f * problem.f) + 256 * problem.f);
  };
  std::array<std::int64_t, 2> forward{}, backward{}, unlimited{};
  run_ranks(2, [&](Communicator& ranks, Context& context) {
    const RemoteExperts op{&ranks};
    const Share share(problem, ranks, context, limit);
    RemoteExperts::Saved saved;
    std::int64_t before = context.memory().current_total();
    const Tensor y = op.forward(&saved, share.x, share.w13, share.w2, share.plan);
    forward[at(ranks.rank())] = context.memory().peak_total() - before - own;  // own is y
    const Tensor dx = y.empty_like(y.shape()), dw13 = share.w13.empty_like(share.w13.shape()),
                 dw2 = share.w2.empty_like(share.w2.shape());
    before = context.memory().current_total();
    op.backward(saved, share.w13, share.w2, share.dy, {dx, 0.0}, {dw13, 0.0}, {dw2, 0.0});
    backward[at(ranks.rank())] = context.memory().peak_total() - before;
    TestContext fresh;
    const Share again(problem, ranks, fresh, 0);
    before = fresh.memory().current_total();
    static_cast<void>(op.forward(nullptr, again.x, again.w13, again.w2, again.plan));
    unlimited[at(ranks.rank())] = fresh.memory().peak_total() - before - own;
  });
  CHECK(forward[1] == needed(limit, 2, 2));
  CHECK(backward[1] == needed(limit, 3, 5));
  CHECK(unlimited[1] == needed(2 * rows, 2, 2));
}
