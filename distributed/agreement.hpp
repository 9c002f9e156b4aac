// How ranks come to one mind about what each of them found out by itself.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Rank 0's text, on every rank.
[[nodiscard]] std::string text_of_rank_0(Communicator& ranks, const std::string& text, Phase phase);

/// Every rank's text, by rank, on every rank.
[[nodiscard]] std::vector<std::string> texts_of_all(Communicator& ranks, const std::string& text,
                                                    Phase phase);

/// Throws exit code 76 unless all ranks name the same value; `what` says what the value is of.
void require_same_on_all(Communicator& ranks, std::int64_t value, std::string_view what, Phase phase);

/// An error that all ranks of a job know of, so that one of them can speak and all can part in peace.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs work, which calls no collective, on every rank of a job. Where it throws on some of them, all throw
/// AgreedError with the code and message of the lowest one that failed. It is named where it is not rank 0,
/// and with its host where the ranks are on several. Where that one was Interrupted, all are. One rank throws
/// what work throws.
void agree(Communicator& ranks, const std::function<void()>& work);

}  // namespace granule
