#include "distributed/agreement.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <new>
#include <optional>

#include "core/host_name.hpp"
#include "core/interruption.hpp"
#include "data/files/paths.hpp"

namespace granule {
namespace {

struct Failure {
  ExitCode code;
  std::string message;
  int signal = 0;  // the signal that interrupted the work; then there is no failure
};

std::optional<Failure> failure_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const Interrupted& stopped) {
    return Failure{ExitCode::success, {}, stopped.signal};
  } catch (const Error& error) {
    return Failure{error.code(), error.what()};
  } catch (const std::filesystem::filesystem_error& failure) {
    const Error error = error_of(failure);
    return Failure{error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{ExitCode::out_of_memory, "out of memory (allocation): use a smaller batch or model"};
  } catch (const std::exception& error) {
    return Failure{ExitCode::failure, error.what()};
  }
}

std::vector<std::int64_t> words_of(const std::string& text, std::size_t count) {
  std::vector<std::int64_t> words(count);
  std::memcpy(words.data(), text.data(), text.size());
  return words;
}

/// The text of the rank that has one; the others have none. A sum with zeros broadcasts values of the host.
std::string share(Communicator& ranks, const std::string& text, Phase phase) {
  std::int64_t length = std::ssize(text);
  ranks.all_reduce(std::span(&length, 1), ReduceOp::sum, phase).wait();
  std::vector<std::int64_t> words = words_of(text, static_cast<std::size_t>(length + 7) / 8);
  ranks.all_reduce(std::span(words), ReduceOp::sum, phase).wait();
  std::string shared(static_cast<std::size_t>(length), '\0');
  std::memcpy(shared.data(), words.data(), shared.size());
  return shared;
}

/// "rank 3: ", or "rank 3 on host b: ". Rank 0 of a single host needs no name.
std::string name_of_failed(Communicator& ranks, std::int64_t rank) {
  const std::vector<std::string> hosts = texts_of_all(ranks, host_name(), "failure");
  const std::string& host = hosts[static_cast<std::size_t>(rank)];
  const bool several = std::ranges::any_of(hosts, [&](const std::string& other) { return other != host; });
  if (several) return fmt::format("rank {} on host {}: ", rank, host);
  return rank > 0 ? fmt::format("rank {}: ", rank) : std::string();
}

}  // namespace

std::vector<std::string> texts_of_all(Communicator& ranks, const std::string& text, Phase phase) {
  const auto size = static_cast<std::size_t>(ranks.size());
  const std::array mine{static_cast<std::int64_t>(text.size())};
  std::vector<std::int64_t> lengths(size);
  ranks.all_gather(mine, lengths, phase).wait();
  const auto longest = static_cast<std::size_t>(std::ranges::max(lengths) + 7) / 8;
  std::vector<std::int64_t> all(longest * size);
  ranks.all_gather(words_of(text, longest), all, phase).wait();
  std::vector<std::string> texts;
  for (std::size_t rank = 0; rank < size; ++rank) {
    const auto* const begin = reinterpret_cast<const char*>(all.data() + rank * longest);
    texts.emplace_back(begin, static_cast<std::size_t>(lengths[rank]));
  }
  return texts;
}

std::string text_of_rank_0(Communicator& ranks, const std::string& text, Phase phase) {
  if (ranks.size() == 1) return text;
  return share(ranks, ranks.rank() == 0 ? text : std::string(), phase);
}

void require_same_on_all(Communicator& ranks, std::int64_t value, std::string_view what, Phase phase) {
  std::array<std::int64_t, 2> extremes{value, ~value};  // ~v is largest where v is smallest
  ranks.all_reduce(std::span(extremes), ReduceOp::max, phase).wait();
  if (extremes[0] == ~extremes[1]) return;
  throw Error(ExitCode::out_of_step, fmt::format("the ranks of '{}' differ in {}", ranks.name(), what),
              fmt::format("step {}", ranks.ledger().step()),
              "a rank computed something else, or its memory was damaged: go on from the last checkpoint");
}

void agree(Communicator& ranks, const std::function<void()>& work) {
  if (ranks.size() == 1) return work();
  const std::optional<Failure> mine = failure_of(work);
  std::int64_t first = mine ? ranks.rank() : ranks.size();
  ranks.all_reduce(std::span(&first, 1), ReduceOp::min, "agreement").wait();
  if (first == ranks.size()) return;
  const bool speaks = first == ranks.rank();
  std::array<std::int64_t, 2> code_and_signal{};
  if (speaks) code_and_signal = {static_cast<std::int64_t>(mine->code), mine->signal};
  ranks.all_reduce(std::span(code_and_signal), ReduceOp::sum, "failure").wait();
  const auto [code, signal] = code_and_signal;
  if (signal != 0) throw Interrupted{static_cast<int>(signal)};
  const std::string message =
      name_of_failed(ranks, first) + share(ranks, speaks ? mine->message : std::string(), "failure");
  throw AgreedError(static_cast<ExitCode>(code), message, "", "");
}

}  // namespace granule
