// How ranks agree about what each of them found out by itself.
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

/// Throws exit code 76 unless all ranks have the same value. `what` says what the value belongs to.
void require_same_on_all(Communicator& ranks, std::int64_t value, std::string_view what, Phase phase);

/// An error that all ranks of a job know, so that one of them can report it and all can end together.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs work, which must call no collective, on every rank of a job. If it throws on some ranks, all throw
/// AgreedError with the code and message of the lowest one that failed. The message names that rank unless it
/// is rank 0, and its host if there are several. If that rank was Interrupted, all are. A job of one rank
/// throws what work throws.
void agree(Communicator& ranks, const std::function<void()>& work);

}  // namespace granule
