#include "distributed/communicators/communicator.hpp"

#include <algorithm>
#include <new>
#include <numeric>
#include <tuple>

#include "core/kernels/copy.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "distributed/communicators/host_staging.hpp"

namespace granule {
namespace {

std::string call(CollectiveKind kind, Phase phase) {
  return fmt::format("{} '{}'", name_of(kind), phase.name());
}

/// Values in bf16 are moved, and never summed.
void check_dtype(CollectiveKind kind, Phase phase, const Tensor& tensor) {
  GRANULE_CHECK(tensor.defined(), "{}: a tensor is undefined", call(kind, phase));
  const DType type = tensor.dtype();
  if (type == DType::bf16 && kind != CollectiveKind::all_reduce && kind != CollectiveKind::reduce_scatter)
    return;
  GRANULE_CHECK(type == DType::f32 || type == DType::f64 || type == DType::i64 || type == DType::i32,
                "{}: {} is not sent, only f32, f64, i64 and i32", call(kind, phase), name_of(type));
}

bool overlap(const Tensor& a, const Tensor& b) {
  return a.bytes() > 0 && b.bytes() > 0 && a.raw() < b.raw() + b.bytes() && b.raw() < a.raw() + a.bytes();
}

/// Elements of a row: the product of all dimensions after the first.
std::int64_t width_of(const Tensor& rows_RD) {
  const auto dims = rows_RD.shape().dims();
  if (dims.empty()) return 1;
  return std::accumulate(dims.begin() + 1, dims.end(), std::int64_t{1}, std::multiplies<>());
}

/// Turns row counts into counts of elements, and checks them against the tensor that has the rows.
std::vector<std::int64_t> elements_of(std::span<const std::int64_t> rows, const Tensor& rows_RD, int size,
                                      const std::string& where) {
  GRANULE_CHECK(std::ssize(rows) == size, "{}: {} row counts for {} ranks", where, rows.size(), size);
  const std::int64_t width = width_of(rows_RD);
  std::vector<std::int64_t> elements;
  for (const std::int64_t count : rows) {
    GRANULE_CHECK(count >= 0, "{}: {} rows", where, count);
    elements.push_back(count * width);
  }
  const std::int64_t sum = std::accumulate(elements.begin(), elements.end(), std::int64_t{0});
  GRANULE_CHECK(sum == rows_RD.numel(), "{}: rows of {} elements in all, the tensor has {}", where, sum,
                rows_RD.numel());
  return elements;
}

/// `part` must be the rank's slice of `whole`, or must not overlap with it.
void check_parts(CollectiveKind kind, Phase phase, const Tensor& part, const Tensor& whole, int rank,
                 int size) {
  check_dtype(kind, phase, part);
  check_dtype(kind, phase, whole);
  GRANULE_CHECK(part.dtype() == whole.dtype(), "{}: a part of {}, a whole of {}", call(kind, phase),
                name_of(part.dtype()), name_of(whole.dtype()));
  GRANULE_CHECK(part.numel() * size == whole.numel(), "{}: {} parts of {} elements, a whole of {}",
                call(kind, phase), size, part.numel(), whole.numel());
  GRANULE_CHECK(!overlap(part, whole) || part.raw() == whole.raw() + rank * part.bytes(),
                "{}: the part overlaps the whole and is not rank {}'s slice of it", call(kind, phase), rank);
}

}  // namespace

Communicator::Communicator(GroupPosition place, std::shared_ptr<Ledger> ledger)
    : place_(std::move(place)), ledger_(std::move(ledger)) {}

Communicator::~Communicator() = default;

Ticket Communicator::next_ticket(const Collective& collective) {
  Ticket ticket{.sequence = sequence_++,
                .step = ledger_->step(),
                .agreed = collective.agreed,
                .phase_hash = collective.phase.hash(),
                .kind = collective.kind,
                .dtype = collective.dtype,
                .reduce = collective.reduce,
                .root = collective.root,
                .world_rank = place_.world_rank};
  const std::string_view phase = collective.phase.name().substr(0, ticket.phase.size() - 1);
  std::copy(phase.begin(), phase.end(), ticket.phase.begin());
  return ticket;
}

Pending Communicator::run(Collective collective) {
  const Ticket ticket = next_ticket(collective);
  ledger_->enter(place_.group, ticket, collective.phase, traffic_of(collective, rank(), size()));
  return Pending(carry(std::move(collective), ticket));
}

std::unique_ptr<Operation> Communicator::carry(Collective collective, const Ticket& ticket) {
  const Tensor &from = collective.held_input, &to = collective.held_output;
  if (!from.defined() || from.on_host()) return start(std::move(collective), ticket);
  if (size() == 1) {
    copy(from, to);
    return nullptr;
  }
  if (carriage_ != nullptr) {
    std::unique_ptr<Operation> comparison = compare(collective, ticket);
    return carriage_->start(collective, std::move(comparison));
  }
  HostStaging staging(collective, rank());
  std::unique_ptr<Operation> carried = start(staging.on_host(), ticket);
  return deliver_after(std::move(carried), std::move(staging));
}

std::unique_ptr<Operation> Communicator::compare(Collective /*collective*/, const Ticket& ticket) {
  GRANULE_ASSERT(false, "{}: this communicator takes no carrier", describe(ticket));
}

void Communicator::carry_tensors_by(std::unique_ptr<DeviceCarrier> carrier) {
  carriage_.reset();
  if (carrier == nullptr) return;
  GRANULE_CHECK(carriages() != nullptr, "the ranks of '{}' take no carrier of a device", name());
  carriage_ = std::make_unique<TensorCarriage>(*this, std::move(carrier));
}

Collective Communicator::of_tensors(CollectiveKind kind, const Tensor& input, const Tensor& output,
                                    Phase phase) const {
  GRANULE_CHECK(!output.defined() || input.device() == output.device(), "{}: from one device to another",
                call(kind, phase));
  return {.kind = kind,
          .phase = phase,
          .dtype = input.dtype(),
          .input = input.raw(),
          .output = output.defined() ? output.raw() : nullptr,
          .held_input = input,
          .held_output = output};
}

Pending Communicator::all_reduce(const Tensor& data, Phase phase) {
  check_dtype(CollectiveKind::all_reduce, phase, data);
  Collective collective = of_tensors(CollectiveKind::all_reduce, data, data, phase);
  collective.count = collective.agreed = data.numel();
  return run(std::move(collective));
}

Pending Communicator::reduce_values(std::byte* values, std::int64_t count, DType dtype, ReduceOp reduce,
                                    Phase phase) {
  return run({.kind = CollectiveKind::all_reduce,
              .phase = phase,
              .dtype = dtype,
              .reduce = reduce,
              .input = values,
              .output = values,
              .count = count,
              .agreed = count});
}

Pending Communicator::all_reduce(std::span<double> values, ReduceOp reduce, Phase phase) {
  return reduce_values(reinterpret_cast<std::byte*>(values.data()), std::ssize(values), DType::f64, reduce,
                       phase);
}

Pending Communicator::all_reduce(std::span<std::int64_t> values, ReduceOp reduce, Phase phase) {
  return reduce_values(reinterpret_cast<std::byte*>(values.data()), std::ssize(values), DType::i64, reduce,
                       phase);
}

Pending Communicator::reduce_scatter(const Tensor& whole, const Tensor& part, Phase phase) {
  check_parts(CollectiveKind::reduce_scatter, phase, part, whole, rank(), size());
  Collective collective = of_tensors(CollectiveKind::reduce_scatter, whole, part, phase);
  collective.count = collective.agreed = part.numel();
  return run(std::move(collective));
}

Pending Communicator::all_gather(const Tensor& part, const Tensor& whole, Phase phase) {
  check_parts(CollectiveKind::all_gather, phase, part, whole, rank(), size());
  Collective collective = of_tensors(CollectiveKind::all_gather, part, whole, phase);
  collective.count = collective.agreed = part.numel();
  return run(std::move(collective));
}

Pending Communicator::all_gather(std::span<const std::int64_t> mine, std::span<std::int64_t> all,
                                 Phase phase) {
  GRANULE_CHECK(mine.size() * static_cast<std::size_t>(size()) == all.size(),
                "{}: {} times {} values into {}", call(CollectiveKind::all_gather, phase), size(),
                mine.size(), all.size());
  return run({.kind = CollectiveKind::all_gather,
              .phase = phase,
              .dtype = DType::i64,
              .input = reinterpret_cast<const std::byte*>(mine.data()),
              .output = reinterpret_cast<std::byte*>(all.data()),
              .count = std::ssize(mine),
              .agreed = std::ssize(mine)});
}

Pending Communicator::broadcast(const Tensor& data, int root, Phase phase) {
  check_dtype(CollectiveKind::broadcast, phase, data);
  GRANULE_CHECK(root >= 0 && root < size(), "{}: root {} of {} ranks", call(CollectiveKind::broadcast, phase),
                root, size());
  Collective collective = of_tensors(CollectiveKind::broadcast, data, data, phase);
  collective.count = collective.agreed = data.numel();
  collective.root = root;
  return run(std::move(collective));
}

Pending Communicator::all_to_all(const Tensor& send_RD, std::span<const std::int64_t> send_rows,
                                 const Tensor& receive_RD, std::span<const std::int64_t> receive_rows,
                                 Phase phase) {
  const std::string where = call(CollectiveKind::all_to_all, phase);
  check_dtype(CollectiveKind::all_to_all, phase, send_RD);
  check_dtype(CollectiveKind::all_to_all, phase, receive_RD);
  GRANULE_CHECK(send_RD.dtype() == receive_RD.dtype(), "{}: sends {}, receives {}", where,
                name_of(send_RD.dtype()), name_of(receive_RD.dtype()));
  GRANULE_CHECK(width_of(send_RD) == width_of(receive_RD), "{}: sends rows of {}, receives rows of {}", where,
                width_of(send_RD), width_of(receive_RD));
  GRANULE_CHECK(!overlap(send_RD, receive_RD), "{}: the two tensors overlap", where);
  Collective collective = of_tensors(CollectiveKind::all_to_all, send_RD, receive_RD, phase);
  collective.input_counts = elements_of(send_rows, send_RD, size(), where);
  collective.output_counts = elements_of(receive_rows, receive_RD, size(), where);
  collective.agreed = width_of(send_RD);
  return run(std::move(collective));
}

Pending Communicator::gather(const Tensor& mine_RD, const Tensor& all_RD, std::span<const std::int64_t> rows,
                             int root, Phase phase) {
  const std::string where = call(CollectiveKind::gather, phase);
  check_dtype(CollectiveKind::gather, phase, mine_RD);
  GRANULE_CHECK(root >= 0 && root < size(), "{}: root {} of {} ranks", where, root, size());
  const bool at_root = rank() == root;
  GRANULE_CHECK(at_root || (!all_RD.defined() && rows.empty()), "{}: only rank {} receives", where, root);
  Collective collective = of_tensors(CollectiveKind::gather, mine_RD, all_RD, phase);
  collective.root = root;
  collective.count = mine_RD.numel();
  collective.agreed = width_of(mine_RD);
  if (at_root) {
    check_dtype(CollectiveKind::gather, phase, all_RD);
    GRANULE_CHECK(all_RD.dtype() == mine_RD.dtype() && width_of(all_RD) == width_of(mine_RD),
                  "{}: rows of {} {} into rows of {} {}", where, width_of(mine_RD), name_of(mine_RD.dtype()),
                  width_of(all_RD), name_of(all_RD.dtype()));
    GRANULE_CHECK(!overlap(mine_RD, all_RD), "{}: the two tensors overlap", where);
    collective.output_counts = elements_of(rows, all_RD, size(), where);
  }
  return run(std::move(collective));
}

Pending Communicator::barrier(Phase phase) {
  return run({.kind = CollectiveKind::barrier, .phase = phase});
}

std::unique_ptr<Communicator> Communicator::split(const SeatOf& seat_of, std::string_view name) {
  const Seat mine = seat_of(rank());
  GRANULE_CHECK(mine.color >= 0, "split into '{}': color {}", name, mine.color);
  const std::pair my_place(mine.key, rank());
  GroupPosition place{.group = std::string(name), .rank = 0, .size = 0, .world_rank = world_rank()};
  for (int other = 0; other < size(); ++other) {
    const Seat seat = seat_of(other);
    if (seat.color != mine.color) continue;
    ++place.size;
    if (std::pair(seat.key, other) < my_place) ++place.rank;
  }
  const int place_in_group = place.rank, color = place.size > 1 ? mine.color : -1;
  std::unique_ptr<Communicator> group = form({std::move(place), mine.color, seat_of});
  if (carriage_ == nullptr) return group;
  if (auto carrier = carriage_->carrier().split(color, place_in_group))
    group->carry_tensors_by(std::move(carrier));
  return group;
}

void run_or_abort(Communicator& ranks, const std::function<void(Communicator&)>& body) {
  try {
    body(ranks);
  } catch (const Error& error) {
    ranks.abort(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    ranks.abort(ExitCode::out_of_memory, "out of memory (allocation): use a smaller batch or model");
  } catch (const std::exception& error) {
    ranks.abort(ExitCode::failure, error.what());
  } catch (...) {
    ranks.abort(ExitCode::failure, "an exception of an unknown kind");
  }
}

}  // namespace granule
