#include "core/profile.hpp"

namespace granule {

void Profile::reset() {
  resolve();
  seconds_.clear();
  waits_ = 0;
}

void Profile::start() {
  reset();
  records_ = true;
}

const std::map<std::string, double, std::less<>>& Profile::seconds() {
  resolve();
  return seconds_;
}

Profile::Moment Profile::now() noexcept {
  if (!records_) return {};
  if (clock_ != nullptr) return {.of_host = {}, .mark = clock_->mark()};
  return {.of_host = std::chrono::steady_clock::now(), .mark = kNoMark};
}

void Profile::add(std::string_view phase, const Moment& begin) {
  if (!records_) return;
  const Moment end = now();
  auto found = seconds_.find(phase);
  if (found == seconds_.end()) found = seconds_.emplace(phase, 0.0).first;
  if (clock_ == nullptr) {
    found->second += std::chrono::duration<double>(end.of_host - begin.of_host).count();
  } else if (begin.mark != kNoMark && end.mark != kNoMark) {
    passing_.push_back({&found->second, begin.mark, end.mark});
  }
}

void Profile::resolve() {
  if (passing_.empty()) return;
  add_wait();
  const std::vector<double> seconds = clock_->take_marks();
  for (const Passing& phase : passing_)
    *phase.seconds +=
        seconds[static_cast<std::size_t>(phase.end)] - seconds[static_cast<std::size_t>(phase.begin)];
  passing_.clear();
}

}  // namespace granule
