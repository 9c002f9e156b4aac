// The program's two voices: stdout for machines (JSON, generated text), stderr for people. Here, and not with
// fmt::print, because a reader that goes away must neither kill a training run nor pass for a crash.
#pragma once
#include <functional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json_fwd.hpp>

#include "core/error.hpp"
#include "distributed/watchdog.hpp"

namespace granule {

/// Whoever read stdout has closed it (`granule … | head`): there is nothing left to do, and nothing wrong.
class ReaderGone {};

/// Writes to stdout at once. Throws ReaderGone, or io_error (exit 74) when it cannot be written.
void print_out(std::string_view text);
/// Whether stdout takes a page of text within two seconds: it may be a pipe that nobody reads any more.
[[nodiscard]] bool somebody_reads_out() noexcept;
/// A line of JSON, or with `indent` several, to stdout. A path in it may be of any bytes: U+FFFD stands for
/// those that are no UTF-8.
void print_json(const nlohmann::json& json, int indent = -1);
void print_json(const nlohmann::ordered_json& json, int indent = -1);
/// Writes to stderr, without waiting for who reads it; where it fails there is nobody to tell.
void print_err(std::string_view text) noexcept;
/// The same for one line of many: left out, and counted, where the reader is far behind.
void print_progress(std::string_view line) noexcept;
/// Gives who reads stderr some seconds to take what was said. Called before the process ends.
void finish_saying() noexcept;

/// A formatted line for people.
template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  print_err(fmt::format(text, std::forward<Args>(args)...) + '\n');
}

/// "granule: error: …", the one line in which a person hears of an error.
void say_error(std::string_view message);

/// This rank ends with the code and says nothing: another one has spoken.
struct SilentEnd {
  ExitCode code;
};
/// A user error of a whole job of several ranks, to be called by each: rank 0 says why, and true is returned
/// for all of them to part from each other in peace, and then to throw SilentEnd. One rank is not refused.
[[nodiscard]] bool refuses_several(const Communicator& ranks, std::string_view what, std::string_view advice);
/// run_job() for a command of several ranks, which must be of one program: what all of them know of
/// (AgreedError) is said by rank 0, and all part in peace and throw SilentEnd.
void run_job_together(const std::function<void(Communicator&)>& body);
/// Of the watchdog of a job: it speaks on stderr, and ends the process of a job of one rank.
[[nodiscard]] WatchdogOptions watchdog_options();

/// Before anything else: a write to a closed pipe, or beyond the limit for a file's size, becomes an error
/// instead of a signal, and no file opened later can take the place of a stdout or stderr that was closed.
void prepare_streams();

}  // namespace granule
