// The two outputs of the program: stdout for machines (JSON, generated text), stderr for people. They do not
// use fmt::print, because a reader that goes away must not kill a training run or look like a crash.
#pragma once
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json_fwd.hpp>

#include "core/error.hpp"
#include "distributed/watchdog.hpp"

namespace granule {

/// The reader of stdout has closed it (`granule … | head`). Nothing is left to do, and nothing is wrong.
class ReaderGone {};

/// Writes to stdout at once. Throws ReaderGone, or io_error (exit code 74) if it cannot be written.
void print_out(std::string_view text);
/// Whether stdout takes a page of text within two seconds. It may be a pipe whose reader is gone.
[[nodiscard]] bool somebody_reads_out() noexcept;
/// Writes JSON to stdout in one line, or with `indent` in several. A path in it may have any bytes. Those
/// that are not UTF-8 are replaced by U+FFFD.
void print_json(const nlohmann::json& json, int indent = -1);
void print_json(const nlohmann::ordered_json& json, int indent = -1);
/// Prints the one line of a job whose work is already on the disk. It does not matter if nobody reads it, so
/// it neither waits nor throws. Returns the error of a stdout that cannot be written.
[[nodiscard]] std::optional<Error> print_result(const nlohmann::ordered_json& json);
/// Writes to stderr without waiting for its reader. A failure is ignored, because it could not be reported.
void print_err(std::string_view text) noexcept;
/// The same for one line of many. If the reader is far behind, the line is left out and counted.
void print_progress(std::string_view line) noexcept;
/// Gives the reader of stderr some seconds to take what was written. Call it before the process ends.
void finish_saying() noexcept;

/// Writes a formatted line for people.
template <class... Args>
void say(fmt::format_string<Args...> text, Args&&... args) {
  print_err(fmt::format(text, std::forward<Args>(args)...) + '\n');
}

/// Writes "granule: error: …", the one line that tells a person about an error.
void say_error(std::string_view message);

/// This rank ends with the code and writes nothing, because another one has done so.
struct SilentEnd {
  ExitCode code;
};
/// A user error for a command that refuses several ranks. Each rank calls it. Rank 0 writes the message, and
/// true is returned on all ranks. Then all of them leave in good order and throw SilentEnd. One rank alone is
/// not refused.
[[nodiscard]] bool refuses_several(const Communicator& ranks, std::string_view what, std::string_view advice);
/// run_job() for a command of several ranks, which must run the same program. If all of them know of an error
/// (AgreedError), rank 0 writes it. Then all leave in good order and throw SilentEnd.
void run_job_together(const std::function<void(Communicator&)>& body);
/// For the watchdog of a job. It writes to stderr, and ends the process of a job of one rank.
[[nodiscard]] WatchdogOptions watchdog_options();

/// Call it before anything else. A write to a closed pipe, or beyond the limit of a file's size, becomes an
/// error instead of a signal. If stdout or stderr was closed, no file that is opened later can take its
/// place.
void prepare_streams();

}  // namespace granule
