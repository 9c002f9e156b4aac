#include "distributed/mpi/mpi_signs.hpp"

#include <algorithm>
#include <utility>

namespace granule {
namespace {

constexpr double kLongest = 1.0;  // seconds between two signs
constexpr double kShare = 0.25;   // of the time that a rank may stand still

}  // namespace

MpiSigns::MpiSigns(std::shared_ptr<MpiJob> job, std::shared_ptr<Ledger> ledger, MPI_Comm world)
    : job_(std::move(job)), ledger_(std::move(ledger)), listener_([this] { tell(); }) {
  job_->check(MPI_Comm_dup(world, &signs_), "MPI_Comm_dup", "signs of life");
  int size = 0;
  MPI_Comm_rank(signs_, &rank_);
  MPI_Comm_size(signs_, &size);
  under_way_.assign(static_cast<std::size_t>(size), MPI_REQUEST_NULL);
  told_.assign(under_way_.size(), 0);
  heard_.assign(under_way_.size(), 0);
}

void MpiSigns::tell() {
  const auto now = std::chrono::steady_clock::now();
  const double limit = ledger_->still_seconds();
  const double pause = limit > 0.0 ? std::min(kLongest, kShare * limit) : kLongest;
  if (signs_ == MPI_COMM_NULL || now - last_ < std::chrono::duration<double>(pause)) return;
  last_ = now;
  for (std::size_t to = 0; to < under_way_.size(); ++to) {
    if (static_cast<int>(to) == rank_) continue;
    int gone = 0;
    job_->check(MPI_Test(&under_way_[to], &gone, MPI_STATUS_IGNORE), "MPI_Test", "signs of life");
    if (gone == 0) continue;  // that rank has one to take already
    job_->check(MPI_Isend(&sign_, 1, MPI_BYTE, static_cast<int>(to), 0, signs_, &under_way_[to]), "MPI_Isend",
                "signs of life");
    ++told_[to];
  }
}

void MpiSigns::take(int from) {
  char sign = 0;
  job_->check(MPI_Recv(&sign, 1, MPI_BYTE, from, 0, signs_, MPI_STATUS_IGNORE), "MPI_Recv", "signs of life");
  ++heard_[static_cast<std::size_t>(from)];
}

void MpiSigns::advance_in_long_wait() {
  while (signs_ != MPI_COMM_NULL) {
    int there = 0;
    MPI_Status status;
    job_->check(MPI_Iprobe(MPI_ANY_SOURCE, 0, signs_, &there, &status), "MPI_Iprobe", "signs of life");
    if (there == 0) return;
    take(status.MPI_SOURCE);
    ledger_->move();
  }
}

void MpiSigns::close() {
  std::vector<std::int64_t> coming(told_.size());
  job_->check(MPI_Alltoall(told_.data(), 1, MPI_INT64_T, coming.data(), 1, MPI_INT64_T, signs_),
              "MPI_Alltoall", "signs of life");
  for (std::size_t from = 0; from < coming.size(); ++from) {
    while (heard_[from] < coming[from]) take(static_cast<int>(from));
  }
  job_->check(MPI_Waitall(static_cast<int>(under_way_.size()), under_way_.data(), MPI_STATUSES_IGNORE),
              "MPI_Waitall", "signs of life");
  MPI_Comm_free(&signs_);
}

}  // namespace granule
